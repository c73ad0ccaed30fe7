/**
 * What the runner asks of the generator, and what it answers.
 */
import type { DialectName } from "./dialects.ts"

/** How the machine was used while something was measured. */
export interface Span {
  readonly seconds: number
  readonly serverCpuSeconds: number
  /** How long the server waited for a core that others used. */
  readonly serverWaitSeconds: number
  /** The share of its core the generator used. */
  readonly generatorBusy: number
  readonly generatorWaitSeconds: number
}

/** Connects and joins clients, so many at a time. */
export interface Open {
  readonly kind: "open"
  readonly port: number
  readonly serverPid: number
  /** A second node, which all members of a room but the first `near` connect to. */
  readonly far?: { readonly port: number; readonly near: number } | undefined
  /** What counts as the server besides `serverPid`: its other nodes, their broker. */
  readonly morePids?: ReadonlyArray<number> | undefined
  /** How many members of a room publish, the first ones; all by default. */
  readonly publishers?: number | undefined
  readonly dialect: DialectName
  readonly rooms: number
  readonly members: number
  readonly concurrency: number
}

export interface Opened extends Span {
  readonly joined: number
  readonly failures: ReadonlyArray<string>
}

/** Publishes in all rooms, and measures for a while after a while of warming up. */
export interface Load {
  readonly kind: "load"
  /** Messages in flight in each room, or messages a second in each room. */
  readonly pace: { readonly inFlight: number } | { readonly perSecond: number }
  readonly contentBytes: number
  readonly warmUpMillis: number
  readonly millis: number
}

export interface Loaded extends Span {
  readonly sent: number
  readonly delivered: number
  /** Microseconds. */
  readonly latency: Percentiles
  /** Deliveries that never came, after all sending had stopped. */
  readonly lost: number
  readonly ended: ReadonlyArray<string>
}

export interface Percentiles {
  readonly samples: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

/** Every client joins and leaves another room, again and again, each waiting for the answer. */
export interface Churn {
  readonly kind: "churn"
  readonly clients: number
  readonly warmUpMillis: number
  readonly millis: number
}

export interface Churned extends Span {
  /** Joins and leaves, counted as one. */
  readonly rounds: number
}

/** Stops reading at some members of the first room. */
export interface Stall {
  readonly kind: "stall"
  readonly clients: number
}

export interface Stalled {
  readonly stalled: number
}

/** Lets the stalled read again, until they end or nothing comes. */
export interface Resume {
  readonly kind: "resume"
}

export interface Resumed {
  /** How each stalled connection ended; undefined where it lives. */
  readonly ended: ReadonlyArray<string | undefined>
}

/** Publishes for a long time while some members stall, again and again. */
export interface Siege {
  readonly kind: "siege"
  readonly stalled: number
  readonly stallMillis: number
  readonly load: Load
}

export interface Besieged {
  readonly loaded: Loaded
  /** How often the connection of a stalled member had ended, by how it did. */
  readonly ended: Readonly<Record<string, number>>
  /** How often a stalled member was still connected when it read again. */
  readonly survived: number
}

/** Resets all connections. */
export interface Close {
  readonly kind: "close"
}

export interface Closed {
  readonly closed: number
}

export type Request = Open | Load | Churn | Stall | Resume | Siege | Close
export type ReplyOf<R extends Request> = R extends Open
  ? Opened
  : R extends Load
    ? Loaded
    : R extends Churn
      ? Churned
      : R extends Stall
        ? Stalled
        : R extends Resume
          ? Resumed
          : R extends Siege
            ? Besieged
            : Closed
