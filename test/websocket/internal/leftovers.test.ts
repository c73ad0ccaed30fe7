/**
 * What Effect listens to on the socket of an upgrade, and what else is listened to there.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duplex } from "node:stream"
import { Leftovers } from "../../../src/websocket/internal/leftovers.ts"

const make = () => {
  const socket = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() })
  const leftovers = new Leftovers()
  const listen = () => {
    const [close, error] = [() => {}, () => {}]
    socket.on("error", error)
    socket.on("close", close)
    return { close, error }
  }
  const before = listen()
  leftovers.asked(socket)
  const heard = () => ({ close: socket.listeners("close"), error: socket.listeners("error") })
  const only = (...all: ReadonlyArray<ReturnType<typeof listen>>) =>
    assert.deepStrictEqual(heard(), { close: all.map(({ close }) => close), error: all.map(({ error }) => error) })
  return { socket, leftovers, listen, before, only }
}

describe("what Effect keeps of an upgrade", () => {
  it("goes when it was accepted in the step in which Effect heard of it", () => {
    const { before, leftovers, listen, only, socket } = make()
    const ws = listen()
    leftovers.accepted(socket)
    listen()
    leftovers.told(socket)
    only(before, ws)
  })

  it("goes when it is accepted later", () => {
    const { before, leftovers, listen, only, socket } = make()
    const effect = listen()
    leftovers.told(socket)
    only(before, effect)
    const ws = listen()
    leftovers.accepted(socket)
    only(before, ws)
  })

  it("stays when it is not accepted", () => {
    const { before, leftovers, listen, only, socket } = make()
    const effect = listen()
    leftovers.told(socket)
    only(before, effect)
  })

  it("is not looked for where Effect listens to nothing", () => {
    const { before, leftovers, listen, only, socket } = make()
    const ws = listen()
    leftovers.accepted(socket)
    leftovers.told(socket)
    only(before, ws)
  })

  it("leaves the last who listens to errors", () => {
    const { leftovers, socket } = make()
    socket.removeAllListeners("error")
    leftovers.asked(socket)
    leftovers.accepted(socket)
    socket.on("error", () => {})
    leftovers.told(socket)
    assert.strictEqual(socket.listenerCount("error"), 1)
  })
})
