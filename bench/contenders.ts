/**
 * Who is measured.
 */
import type { DialectName } from "./load/dialects.ts"

export interface Contender {
  readonly name: string
  readonly title: string
  readonly dialect: DialectName
  /** Below `servers/`. */
  readonly file: string
}

const all = [
  { name: "ws-plain", title: "ws, plain loop", dialect: "json", file: "ws-plain.ts" },
  { name: "ws-tuned", title: "ws, hand-tuned", dialect: "json", file: "ws-tuned.ts" },
  { name: "socket.io", title: "Socket.IO", dialect: "socketIo", file: "socket-io.ts" },
  { name: "moost", title: "Moost's engine", dialect: "moost", file: "moost.ts" },
  { name: "rooms", title: "effect-rooms, rooms", dialect: "json", file: "rooms.ts" },
  { name: "route", title: "effect-rooms, plain route", dialect: "json", file: "route.ts" }
] as const satisfies ReadonlyArray<Contender>

/** Two nodes of each, with Redis between them. */
export const clustered = [
  { name: "ws-redis", title: "ws + Redis, a publish per message", dialect: "json", file: "ws-redis.ts" },
  { name: "socket.io-redis", title: "Socket.IO, Redis adapter", dialect: "socketIo", file: "socket-io-redis.ts" },
  { name: "rooms-redis", title: "effect-rooms, RedisBus", dialect: "json", file: "rooms.ts" }
] as const satisfies ReadonlyArray<Contender>

export type ContenderName = (typeof all)[number]["name"]
export const contenders: ReadonlyArray<Contender & { readonly name: ContenderName }> = all
