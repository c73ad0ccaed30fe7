/**
 * A window that the test makes slow: what the server says does not get through, until the server would tell of the gap.
 */
import type { Page, WebSocketRoute } from "playwright-core"
import type { OpenOptions } from "../support/browser.ts"
import type { Frame } from "../support/playground.ts"

export interface SlowWindow {
  /** For the window that is to be slow. */
  readonly options: OpenOptions
  /** Loses the next so many messages of these types; done when they are lost. */
  readonly lose: (count: number, types: ReadonlyArray<string>) => Promise<void>
  /** Says something in the server's name. */
  readonly tell: (frame: Frame) => void
}

/** Stands between the socket of a window and the server. */
export const slowWindow = (url: RegExp): SlowWindow => {
  let window: WebSocketRoute
  let losing = { left: 0, types: [] as ReadonlyArray<string>, done: () => {} }
  const isLost = ({ type }: Frame): boolean => {
    if (losing.left === 0 || !losing.types.includes(String(type))) return false
    if (--losing.left === 0) losing.done()
    return true
  }
  const before = (page: Page) =>
    page.routeWebSocket(url, (socket) => {
      window = socket
      socket.connectToServer().onMessage((message) => {
        if (!isLost(JSON.parse(String(message)) as Frame)) socket.send(message)
      })
    })
  return {
    options: { before, clock: true },
    lose: (left, types) => new Promise((done) => (losing = { left, types, done })),
    tell: (frame) => window.send(JSON.stringify(frame))
  }
}
