/**
 * What goes wrong when: a list of faults made from a seed. Pure.
 */
import { makeDraw, pick, shuffle } from "./draw.ts"

/** What happens to a node (`node` is its number), the broker, or clients. */
export type Fault =
  /** Killed, and started again. */
  | { readonly kind: "kill node" | "stop node"; readonly at: number; readonly node: number }
  /** Held up for a while (SIGSTOP); when it sleeps, so long that the others take it for dead. */
  | { readonly kind: "freeze node" | "sleep node"; readonly at: number; readonly node: number; readonly millis: number }
  | { readonly kind: "kill broker"; readonly at: number }
  | { readonly kind: "freeze broker"; readonly at: number; readonly millis: number }
  /** A share of the clients, those with the lowest numbers when all are shuffled with `seed`. */
  | { readonly kind: "reset clients"; readonly at: number; readonly share: number; readonly seed: number }
  | {
      readonly kind: "stall clients"
      readonly at: number
      readonly share: number
      readonly seed: number
      readonly millis: number
    }

export type FaultKind = Fault["kind"]

/** Faults that are done where nobody asks for others. */
export const faultKinds: ReadonlyArray<FaultKind> = [
  "kill node",
  "freeze node",
  "stop node",
  "kill broker",
  "freeze broker",
  "reset clients",
  "stall clients"
]

/** Faults that can be asked for. */
export const allKinds: ReadonlyArray<FaultKind> = [...faultKinds, "sleep node"]

export interface ScheduleOptions {
  readonly seed: number
  readonly seconds: number
  readonly nodes: number
  /** Which faults; `faultKinds` by default. */
  readonly kinds?: ReadonlyArray<FaultKind> | undefined
}

/** Milliseconds between two faults. */
const interval = 2_000
const frozenNode = 5_000
const sleepingNode = 12_000
const frozenBroker = 4_000
/** Milliseconds a process may need until it works again after it was started. */
const starting = 4_000

/**
 * Makes faults, each kind once before any comes again. One node at least is left alone at any time, and nothing has two
 * faults at a time.
 */
export const makeSchedule = ({ kinds = faultKinds, nodes, seconds, seed }: ScheduleOptions): ReadonlyArray<Fault> => {
  const draw = makeDraw(seed)
  const faults: Array<Fault> = []
  const busyUntil = { nodes: Array.from({ length: nodes }, () => 0), broker: 0 }
  let bag: ReadonlyArray<FaultKind> = []

  const freeNode = (at: number): number | undefined => {
    const free = busyUntil.nodes.flatMap((until, node) => (until <= at ? [node] : []))
    return free.length < 2 ? undefined : pick(draw, free)
  }

  const make = (kind: FaultKind, at: number): Fault | undefined => {
    switch (kind) {
      case "reset clients":
        return { kind, at, share: 0.1, seed: Math.floor(draw() * 2 ** 31) }
      case "stall clients":
        return { kind, at, share: 0.05, seed: Math.floor(draw() * 2 ** 31), millis: 2_000 }
      case "kill broker":
        return busyUntil.broker > at ? undefined : { kind, at }
      case "freeze broker":
        return busyUntil.broker > at ? undefined : { kind, at, millis: frozenBroker }
      default: {
        const node = freeNode(at)
        if (node === undefined) return undefined
        if (kind === "freeze node") return { kind, at, node, millis: frozenNode }
        return kind === "sleep node" ? { kind, at, node, millis: sleepingNode } : { kind, at, node }
      }
    }
  }

  for (let at = interval; at <= seconds * 1_000; at += interval) {
    if (bag.length === 0) bag = shuffle(draw, kinds)
    // What cannot be now waits for its turn, and another kind takes this one.
    for (const kind of [...bag, ...shuffle(draw, kinds)]) {
      const fault = make(kind, at)
      if (fault === undefined) continue
      faults.push(fault)
      bag = bag.filter((other) => other !== kind)
      const until = at + ("millis" in fault ? fault.millis : starting)
      if ("node" in fault) busyUntil.nodes[fault.node] = until
      else if (kind.endsWith("broker")) busyUntil.broker = until
      break
    }
  }
  return faults
}

/** A fault in words. */
export const describeFault = (fault: Fault): string => {
  const { kind } = fault
  return "node" in fault ? `${kind} ${fault.node}` : "share" in fault ? `${kind} (${fault.share * 100} %)` : kind
}
