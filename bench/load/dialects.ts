/**
 * How each server wants to be talked to: where to connect, what to say until joined, how to publish, join and leave.
 */

/** A message in two halves, between which the time of sending goes. */
export interface Template {
  readonly head: string
  readonly tail: string
}

export interface Dialect {
  /** The target of the upgrade request of a client of that room. */
  readonly target: (room: string) => string
  /**
   * What to send next while joining, given what came (nothing, right after the upgrade): a text to send, `"wait"`, or
   * `"joined"`.
   */
  readonly enter: (room: string, received: string | undefined) => { readonly send: string } | "wait" | "joined"
  readonly publish: (room: string, content: string) => Template
  readonly join: (room: string) => string
  readonly leave: (room: string) => string
  /** A text frame of one byte is a ping (`2`), to be answered with `3`. */
  readonly enginePings: boolean
}

const json: Dialect = {
  target: (room) => `/room/${room}`,
  enter: (_, received) => (received?.startsWith('{"type":"joined"') ? "joined" : "wait"),
  publish: (_, content) => ({ head: `{"type":"message","content":"${content}","at":`, tail: "}" }),
  join: (room) => `{"type":"join","room":"${room}"}`,
  leave: (room) => `{"type":"leave","room":"${room}"}`,
  enginePings: false
}

const socketIo: Dialect = {
  target: (room) => `/socket.io/?EIO=4&transport=websocket&room=${room}`,
  enter: (_, received) => {
    if (received?.startsWith("0")) return { send: "40" }
    return received?.startsWith('42["joined"') ? "joined" : "wait"
  },
  publish: (_, content) => ({ head: `42["message",{"content":"${content}","at":`, tail: "}]" }),
  join: (room) => `42["join","${room}"]`,
  leave: (room) => `42["leave","${room}"]`,
  enginePings: true
}

const moost: Dialect = {
  target: () => "/",
  enter: (room, received) => (received === undefined ? { send: moost.join(room) } : "joined"),
  publish: (room, content) => ({
    head: `{"event":"message","path":"/room/${room}","data":{"content":"${content}","at":`,
    tail: "}}"
  }),
  join: (room) => `{"event":"join","path":"/room/${room}","id":1}`,
  leave: (room) => `{"event":"leave","path":"/room/${room}","id":1}`,
  enginePings: false
}

export const dialects = { json, socketIo, moost }
export type DialectName = keyof typeof dialects
