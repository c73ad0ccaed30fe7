import { assert, describe, it } from "@effect/vitest"
import { Limits } from "effect-rooms/websocket"
import * as Schema from "effect/Schema"
import { makeDecoder } from "../../../src/websocket/internal/codec.ts"
import { Inbox } from "../../../src/websocket/internal/inbox.ts"
import type { Peer } from "../../../src/websocket/internal/peer.ts"
import { Quota } from "../../../src/websocket/internal/quota.ts"
import { Rates } from "../../../src/websocket/internal/rates.ts"
import { defaultInvalidReply, Receiver } from "../../../src/websocket/internal/receiver.ts"

/** What a receiver does to its surroundings, as a list of words. */
const make = (
  invalidReply: (code: string) => unknown = (code) => ({ code }),
  limits = Limits.defaults,
  userRates?: Rates
) => {
  const events: Array<string> = []
  let now = 0
  const peer = {
    send: (text: string) => {
      if (typeof text !== "string") throw new TypeError("not a text")
      events.push(`send ${text}`)
      return true
    },
    close: (code: number) => events.push(`close ${code}`),
    messages: 0
  } as unknown as Peer
  const inbox = new Inbox<string>({
    maxMessages: 100,
    maxBytes: 1000,
    pause: () => events.push("pause"),
    resume: () => events.push("resume"),
    onEndSeen: () => {}
  })
  const quota = new Quota(limits, () => now)
  const receiver = new Receiver<string>(
    {
      limits,
      decode: makeDecoder(Schema.String, 32),
      invalidReply: ({ code }) => invalidReply(code),
      now: () => now,
      onInvalid: (reason) => events.push(`invalid ${reason}`)
    },
    { quota, die: (defect) => events.push(`defect ${String(defect)}`) },
    peer,
    inbox,
    userRates
  )
  const receive = (text: string) => receiver.receive(text, Buffer.byteLength(text))
  return { events, inbox, peer, quota, receive, at: (millis: number) => (now = millis) }
}

const limited = (what: string) => [`invalid ${what}`, 'send {"code":"rate_limited"}']

describe("Receiver", () => {
  it("a valid message goes into the inbox and nowhere else", () => {
    const { events, inbox, receive } = make()
    receive('"hello"')
    assert.deepStrictEqual(inbox.poll(), ["hello"])
    assert.deepStrictEqual(events, [])
  })

  it("counts valid messages alone as messages of the peer", () => {
    const { peer, receive } = make()
    receive('"hello"')
    receive("1")
    receive("no")
    assert.strictEqual(peer.messages, 1)
  })

  it("SEC11: what is over a rate is counted by which it is, answered once a second, and does not reach the inbox", () => {
    const rates = { ...Limits.trusted, messagesPerSecond: 1, messageBurst: 1 }
    const { at, events, inbox, peer, receive } = make(undefined, rates)
    for (let n = 0; n < 3; n++) receive('"hello"')
    assert.deepStrictEqual(inbox.poll(), ["hello"])
    assert.deepStrictEqual(events.splice(0), [...limited("message_rate"), "invalid message_rate"])
    at(1500)
    for (let n = 0; n < 2; n++) receive('"hello"')
    assert.deepStrictEqual(events, limited("message_rate"))
    assert.strictEqual(peer.messages, 2)
  })

  it("SEC11: bytes over their rate are counted as such", () => {
    const { events, receive } = make(undefined, { ...Limits.trusted, bytesPerSecond: 10 })
    receive('"12345678"')
    receive('"1"')
    assert.deepStrictEqual(events, limited("byte_rate"))
  })

  it("SEC11: a user's connections take from one rate, and it is theirs that is over", () => {
    const rates = { ...Limits.trusted, messagesPerSecond: 1, messageBurst: 2 }
    const shared = new Rates(rates, 2, 0)
    const first = make(undefined, rates, shared)
    const second = make(undefined, rates, shared)
    const third = make(undefined, rates, shared)
    for (const { receive } of [first, second]) for (let n = 0; n < 2; n++) receive('"hello"')
    third.receive('"hello"')
    assert.deepStrictEqual([first.events, second.events], [[], []])
    assert.deepStrictEqual(third.events, limited("user_rate"))
  })

  it("SEC12: who has made too much go out is not heard until that is made up for", () => {
    const { at, events, inbox, quota, receive } = make(undefined, { ...Limits.trusted, fanOutBytesPerSecond: 1000 })
    quota.charge(3000)
    receive('"early"')
    assert.deepStrictEqual(events, limited("fan_out_rate"))
    at(1999)
    receive('"still early"')
    at(2000)
    receive('"in time"')
    assert.deepStrictEqual(inbox.poll(), ["in time"])
  })

  it("SEC11: the third second within a minute with messages over the rate closes with 4005, not the second", () => {
    const { at, events, receive } = make(undefined, { ...Limits.defaults, messagesPerSecond: 0, messageBurst: 1 })
    for (const second of [0, 1, 30]) {
      at(second * 1000)
      for (let n = 0; n < 10; n++) receive('"hello"')
      assert.strictEqual(events.includes("close 4005"), second === 30)
    }
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
