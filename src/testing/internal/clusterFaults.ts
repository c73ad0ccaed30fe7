/**
 * What happens to nodes, network and broker in a drawn schedule: how each fault is drawn, and what its parts do.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as MemoryBus from "../../cluster/MemoryBus.ts"
import { type Draw, pick } from "./clusterDraw.ts"
import type { ClusterNode } from "./clusterNode.ts"

/** Something that goes wrong in a drawn schedule. */
export type Fault =
  | "crash"
  | "stop"
  | "freeze"
  | "jump"
  | "split"
  | "cut"
  | "noise"
  | "slow"
  | "stall"
  | "outage"
  | "disconnect"

/** A part of a fault, some milliseconds after its beginning. */
export interface Part {
  readonly after: number
  readonly act: string
  readonly args: Schema.Json
}

/** What faults are done to. */
export interface Target {
  readonly nodes: ReadonlyArray<ClusterNode<never>>
  readonly network: MemoryBus.Network
  /** The network as it is when nothing is wrong. */
  readonly calm: MemoryBus.Faults
  readonly split: (groups: ReadonlyArray<ReadonlyArray<string>>) => Effect.Effect<void>
}

/** From a moment to somewhat longer than it takes until a node is taken for gone. */
const aWhile = (draw: Draw): number => Math.floor(pick(draw, [300, 3_000, 14_000]) * (0.2 + 0.8 * draw()))

const thenPart = (part: Part, after: number, act: string, args: Schema.Json): ReadonlyArray<Part> => [
  part,
  { after, act, args }
]

const now = (act: string, args: Schema.Json): Part => ({ after: 0, act, args })

/** How each fault is drawn; every end is a part of its own, so that a schedule can do without it. */
export const drawFault: Record<Fault, (draw: Draw, names: ReadonlyArray<string>) => ReadonlyArray<Part>> = {
  crash: (draw, names) => {
    const node = pick(draw, names)
    const part = now("crash", { node })
    return draw() < 0.3 ? [part] : thenPart(part, aWhile(draw), "start", { node })
  },
  stop: (draw, names) => {
    const node = pick(draw, names)
    return thenPart(now("stop", { node }), 50 + aWhile(draw), "start", { node })
  },
  freeze: (draw, names) => [
    now("freeze", { node: pick(draw, names), millis: pick(draw, [300, 2_000, 5_000, 15_000]) })
  ],
  jump: (draw, names) => [now("jump", { node: pick(draw, names), minutes: pick(draw, [-60, 60]) })],
  split: (draw, names) => {
    const group = names.filter(() => draw() < 0.5)
    return thenPart(now("split", { group }), aWhile(draw), "heal", {})
  },
  cut: (draw, names) => {
    const from = pick(draw, names)
    const to = pick(draw, names)
    return thenPart(now("cut", { from, to }), aWhile(draw), "heal", {})
  },
  noise: (draw) => {
    const some = () => pick(draw, [0, 0, 0.05, 0.3])
    return thenPart(now("noise", { loss: some(), duplication: some(), reorder: some() }), aWhile(draw), "calm", {})
  },
  slow: (draw) => thenPart(now("noise", { latency: pick(draw, [50, 400]) }), aWhile(draw), "calm", {}),
  stall: (draw, names) => {
    const who: Schema.Json = draw() < 0.5 ? {} : { node: pick(draw, names) }
    return thenPart(now("stall", who), pick(draw, [500, 2_500, 7_000]), "resume", who)
  },
  outage: (draw) => thenPart(now("brokerCrash", {}), aWhile(draw), "brokerStart", {}),
  disconnect: (draw, names) => {
    const who = draw() < 0.5 ? undefined : pick(draw, names)
    const late = names.filter(() => draw() < 0.5)
    const refused = draw() < 0.3 ? 2 : 0
    return thenPart(
      now("disconnect", { ...(who !== undefined && { node: who }), late, refused }),
      aWhile(draw),
      "noLonger",
      { late }
    )
  }
}

export const allFaults = Object.keys(drawFault) as ReadonlyArray<Fault>

interface Args {
  readonly node?: string
  readonly late?: ReadonlyArray<string>
  readonly refused?: number
  readonly group?: ReadonlyArray<string>
  readonly from?: string
  readonly to?: string
  readonly millis?: number
  readonly minutes?: number
  readonly latency?: number
  readonly loss?: number
  readonly duplication?: number
  readonly reorder?: number
}

/** How long a node that comes back is later with listening than with publishing, in milliseconds. */
const lateness = 1_700

const nodeOf = ({ nodes }: Target, { node }: Args) => nodes.find(({ name }) => name === node)!

const each = (names: ReadonlyArray<string>, run: (name: string) => Effect.Effect<void>) =>
  Effect.forEach(names, run, { discard: true })

/** What the parts do. */
export const doPart: Record<string, (target: Target, args: Args) => Effect.Effect<void>> = {
  crash: (target, args) => nodeOf(target, args).crash(),
  start: (target, args) => Effect.sync(() => void nodeOf(target, args).start()),
  stop: (target, args) => Effect.sync(() => void nodeOf(target, args).stop()),
  freeze: (target, args) => nodeOf(target, args).freeze(args.millis!),
  jump: (target, args) => Effect.sync(() => nodeOf(target, args).jump(args.minutes! * 60_000)),
  split: ({ nodes, split }, { group }) =>
    split([group!, nodes.map(({ name }) => name).filter((name) => !group!.includes(name))]),
  cut: ({ network }, { from, to }) => (from === to ? Effect.void : network.partition(from!, to!)),
  heal: ({ network }) => network.heal(),
  noise: ({ network }, args) => network.set(args),
  calm: ({ calm, network }) => network.set(calm),
  stall: ({ network }, { node }) => network.stall(node),
  resume: ({ network }, { node }) => network.resume(node),
  brokerCrash: ({ network }) => network.crash,
  brokerStart: ({ network }) => network.restart,
  disconnect: ({ network }, { late, node, refused }) =>
    each(late!, (name) => network.late(name, lateness)).pipe(
      Effect.andThen(network.refuseDials(refused!)),
      Effect.andThen(network.cut(node))
    ),
  noLonger: ({ network }, { late }) => each(late!, (name) => network.late(name, 0))
}
