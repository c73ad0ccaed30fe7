/**
 * The sockets a client opens while it connects, so that giving up closes them.
 *
 * `connect` of the NATS client cannot be cancelled, and its own timeout leaves the socket open: against a server that
 * takes connections and says nothing, each attempt would leave one behind. Node tells of every socket that is made; an
 * asynchronous context tells which of them belong to this attempt.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import * as DiagnosticsChannel from "node:diagnostics_channel"
import type { Socket } from "node:net"

const channel = "net.client.socket"

export class Sockets {
  readonly #attempt = new AsyncLocalStorage<true>()
  readonly #sockets = new Set<Socket>()
  #destroyed = false

  readonly #onSocket = (message: unknown): void => {
    if (this.#attempt.getStore() !== true) return
    const { socket } = message as { readonly socket: Socket }
    this.#sockets.add(socket)
    // It begins to connect after this call, which would undo its end.
    if (this.#destroyed) queueMicrotask(() => socket.destroy())
  }

  /** Runs what connects. Sockets that are opened once it is done are not noticed. */
  connect<A>(open: () => Promise<A>): Promise<A> {
    DiagnosticsChannel.subscribe(channel, this.#onSocket)
    return this.#attempt.run(true, open).finally(() => {
      DiagnosticsChannel.unsubscribe(channel, this.#onSocket)
      // Before Node 24 an instance in use makes every promise of the process slower.
      this.#attempt.disable()
    })
  }

  /** Closes them, and those of a client that has not noticed yet and dials on. */
  destroy(): void {
    this.#destroyed = true
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }
}
