/**
 * A way to a broker that can be shut: it cuts connections, and refuses so many attempts to connect.
 */
import * as Net from "node:net"

export class DialProxy implements AsyncDisposable {
  readonly #server: Net.Server
  readonly #open = new Set<Net.Socket>()
  #refusals = 0
  /** Attempts that were refused so far. */
  refused = 0

  private constructor(target: number) {
    this.#server = Net.createServer((socket) => {
      if (this.#refusals > 0) {
        this.#refusals--
        this.refused++
        return void socket.on("error", () => {}).resetAndDestroy()
      }
      this.#join(socket, Net.connect(target, "127.0.0.1"))
    })
  }

  /** Opens a way to a port of this host. */
  static async to(target: number): Promise<DialProxy> {
    const proxy = new DialProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as Net.AddressInfo).port
  }

  /** Ends all connections. */
  cut(): void {
    for (const socket of this.#open) socket.resetAndDestroy()
  }

  /** Ends all connections and refuses the next attempts to connect. */
  refuse(attempts: number): void {
    this.#refusals = attempts
    this.cut()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(one: Net.Socket, other: Net.Socket): void {
    for (const [from, to] of [
      [one, other],
      [other, one]
    ] as const) {
      this.#open.add(from)
      from.setNoDelay(true)
      from.on("error", () => {})
      from.on("close", () => {
        this.#open.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }
}
