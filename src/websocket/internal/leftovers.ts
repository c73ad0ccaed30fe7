/**
 * What Effect keeps of a request for as long as its socket is open, and nobody needs once it was upgraded.
 *
 * Effect's server listens to the socket of an upgrade, to end the request's fiber with it. Behind these listeners are
 * the fiber, the request and all that was made for its answer: three kibibytes for each connection. They are taken away
 * when the answer has been given. Effect begins to listen as the last thing it does when it hears of an upgrade, so they
 * are found by who listened before; where they are not found everything stays as it is.
 */
import type { Duplex } from "node:stream"

type Listener = (...args: Array<unknown>) => void

/** Who listened last. */
interface Last {
  readonly close: Listener | undefined
  readonly error: Listener | undefined
}

interface Request {
  accepted: boolean
  before: Last
  effect: Last | undefined
}

const lastOf = (socket: Duplex): Last => ({
  close: socket.rawListeners("close").at(-1) as Listener | undefined,
  error: socket.rawListeners("error").at(-1) as Listener | undefined
})

const since = (socket: Duplex, before: Last): Last => {
  const { close, error } = lastOf(socket)
  return { close: close === before.close ? undefined : close, error: error === before.error ? undefined : error }
}

const forget = (socket: Duplex, { close, error }: Last): void => {
  if (close !== undefined) socket.off("close", close)
  // `ws` listens to errors by now; without anybody they would end the process.
  if (error !== undefined && socket.listenerCount("error") > 1) socket.off("error", error)
}

export class Leftovers {
  readonly #requests = new WeakMap<Duplex, Request>()

  /** A socket asks for an upgrade, and Effect has not heard of it yet. */
  asked(socket: Duplex): void {
    this.#requests.set(socket, { accepted: false, before: lastOf(socket), effect: undefined })
  }

  /** Effect has heard of it, and perhaps answered it already. */
  told(socket: Duplex): void {
    const request = this.#requests.get(socket)
    if (request === undefined) return
    request.effect = since(socket, request.before)
    this.#settle(socket, request)
  }

  /** The socket was upgraded; nothing else listens to it in this step than what Effect does. */
  accepted(socket: Duplex): void {
    const request = this.#requests.get(socket)
    if (request === undefined) return
    request.accepted = true
    request.before = lastOf(socket)
    this.#settle(socket, request)
  }

  #settle(socket: Duplex, { accepted, effect }: Request): void {
    if (!accepted || effect === undefined) return
    this.#requests.delete(socket)
    forget(socket, effect)
  }
}
