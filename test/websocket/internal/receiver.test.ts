import { assert, describe, it } from "@effect/vitest"
import { Limits } from "effect-rooms/websocket"
import * as Schema from "effect/Schema"
import { makeDecoder } from "../../../src/websocket/internal/codec.ts"
import { Inbox } from "../../../src/websocket/internal/inbox.ts"
import type { Peer } from "../../../src/websocket/internal/peer.ts"
import { defaultInvalidReply, makeReceiver } from "../../../src/websocket/internal/receiver.ts"

/** What a receiver does to its surroundings, as a list of words. */
const make = (invalidReply: (code: string) => unknown = (code) => ({ code })) => {
  const events: Array<string> = []
  let now = 0
  const peer = {
    send: (text: string) => {
      if (typeof text !== "string") throw new TypeError("not a text")
      events.push(`send ${text}`)
      return true
    },
    close: (code: number) => events.push(`close ${code}`)
  } as unknown as Peer
  const inbox = new Inbox<string>({
    maxMessages: 100,
    maxBytes: 1000,
    pause: () => events.push("pause"),
    resume: () => events.push("resume"),
    onEndSeen: () => {}
  })
  const receiveBytes = makeReceiver<string>({
    limits: Limits.defaults,
    decode: makeDecoder(Schema.String, 32),
    invalidReply: ({ code }) => invalidReply(code),
    inbox,
    peer,
    quota: new Quota(Limits.defaults, () => now),
    now: () => now,
    onInvalid: (reason) => events.push(`invalid ${reason}`),
    onDefect: (defect) => events.push(`defect ${String(defect)}`)
  })
  const receive = (text: string) => receiveBytes(text, Buffer.byteLength(text))
  return { events, inbox, receive, at: (millis: number) => (now = millis) }
}

describe("makeReceiver", () => {
  it("a valid message goes into the inbox and nowhere else", () => {
    const { events, inbox, receive } = make()
    receive('"hello"')
    assert.deepStrictEqual(inbox.poll(), ["hello"])
    assert.deepStrictEqual(events, [])
  })

  it("an invalid message is counted and answered, and does not reach the inbox", () => {
    const { events, inbox, receive } = make()
    receive("1")
    assert.deepStrictEqual(inbox.poll(), [])
    assert.deepStrictEqual(events, ["invalid invalid_message", 'send {"code":"invalid_message"}'])
  })

  it("the tenth invalid message within a minute is answered, too, and closes with 4500", () => {
    const { at, events, receive } = make()
    for (let i = 0; i < 10; i++) {
      at(i * 6000)
      receive("no")
    }
    assert.deepStrictEqual(
      events.filter((event) => event.startsWith("close")),
      ["close 4500"]
    )
    assert.deepStrictEqual(events.slice(-2), ['send {"code":"invalid_json"}', "close 4500"])
  })

  it("nine invalid messages a minute go on for ever", () => {
    const { at, events, receive } = make()
    for (let i = 0; i < 100; i++) {
      at(i * 6667)
      receive("no")
    }
    assert.notInclude(events, "close 4500")
  })

  it("P20: a reply that throws, or is no JSON, closes with 1011 and does not escape", () => {
    const throwing = make(() => {
      throw new Error("broken reply")
    })
    throwing.receive("no")
    assert.deepStrictEqual(throwing.events.slice(-2), ["defect Error: broken reply", "close 1011"])
    for (const reply of [undefined, 1n, () => {}]) {
      const { events, receive } = make(() => reply)
      receive("no")
      assert.strictEqual(events.at(-1), "close 1011")
    }
  })

  it("the reply of a route that names none says what and why, and repeats nothing", () => {
    const reply = defaultInvalidReply({ code: "invalid_json", message: "the message is not JSON", input: "secret" })
    assert.deepStrictEqual(reply, { type: "error", code: "invalid_json", message: "the message is not JSON" })
  })
})
