/**
 * Schedules: what is done when, drawn from a seed. Every act carries all that was drawn for it, so that any of them can
 * be left out and the others stay as they are.
 */
import type * as Schema from "effect/Schema"
import { allFaults, drawFault, type Fault } from "./clusterFaults.ts"
import { type Draw, drawFrom, pick } from "./clusterDraw.ts"

/** One thing that is done. */
export interface Item<D> {
  /** Milliseconds since the nodes have started. */
  readonly at: number
  readonly act: string
  /** What is shown of it. */
  readonly args: Schema.Json | undefined
  /** What is done where; undefined for faults. */
  readonly on: { readonly node: string; readonly deed: D } | undefined
}

export interface Schedule<D> {
  readonly seed: number
  readonly nodes: ReadonlyArray<string>
  readonly items: ReadonlyArray<Item<D>>
}

/** What nodes do. */
export interface Drawn<D> {
  readonly name: string
  readonly weight: number
  readonly draw: (draw: Draw) => D
}

interface Shown {
  readonly shown?: Schema.Json | undefined
}

export interface ScheduleOptions<D extends Shown> {
  readonly nodes: { readonly min: number; readonly max: number }
  readonly acts: ReadonlyArray<Drawn<D>>
  readonly faults: ReadonlyArray<Fault>
  /** Acts of a schedule. */
  readonly length: number
}

/** A quarter of all schedules have no faults, the others some kinds of them: many at once hide each other. */
const chooseFaults = (draw: Draw, faults: ReadonlyArray<Fault>): ReadonlyArray<Fault> => {
  if (draw() < 0.25) return []
  const rate = 0.15 + draw() * 0.5
  return faults.filter(() => draw() < rate)
}

/** Acts come in bursts, some in the same step. */
const pause = (draw: Draw): number => {
  const kind = draw()
  if (kind < 0.4) return 0
  if (kind < 0.7) return Math.floor(draw() * 10)
  return kind < 0.95 ? Math.floor(draw() * 500) : Math.floor(draw() * 5_000)
}

export const names = "abcdefghijklmnopqrstuvwxyz"

export const drawSchedule = <D extends Shown>(seed: number, options: ScheduleOptions<D>): Schedule<D> => {
  const draw = drawFrom(seed)
  const { acts, length } = options
  const { max, min } = options.nodes
  const nodes = Array.from(names.slice(0, min + Math.floor(draw() * (max - min + 1))))
  const faults = chooseFaults(draw, options.faults)
  const faultRate = faults.length === 0 ? 0 : 0.05 + draw() * 0.15
  const sum = acts.reduce((all, { weight }) => all + weight, 0)
  const items: Array<Item<D>> = []
  let at = 0
  for (let count = 0; count < length; count++) {
    at += pause(draw)
    if (draw() < faultRate) {
      for (const { act, after, args } of drawFault[pick(draw, faults)](draw, nodes)) {
        items.push({ at: at + after, act, args, on: undefined })
      }
      continue
    }
    let left = draw() * sum
    const act = acts.find(({ weight }) => (left -= weight) < 0) ?? acts[0]!
    const node = pick(draw, nodes)
    const deed = act.draw(draw)
    items.push({ at, act: act.name, args: deed.shown, on: { node, deed } })
  }
  return { seed, nodes, items: items.toSorted((one, other) => one.at - other.at) }
}

export { allFaults }

/** One act as a line of text. */
export const format = ({ act, args, at, on }: Item<unknown>): string => {
  const what = args === undefined ? act : `${act} ${JSON.stringify(args)}`
  return `${(at / 1000).toFixed(3)} s  ${on === undefined ? "" : `${on.node}: `}${what}`
}

/** Tells of shorter and shorter schedules whether they fail as well, and answers the shortest that was found. */
export const shrinkWith = <D>(schedule: Schedule<D>) => {
  let best = schedule
  let size = Math.ceil(schedule.items.length / 2)
  let from = 0
  let isShorter = false
  return {
    get best() {
      return best
    },
    /** The next one to try; none when nothing more can be left out. */
    next: (): Schedule<D> | undefined => {
      if (from >= best.items.length) {
        if (size === 1 && !isShorter) return undefined
        size = Math.ceil(size / 2)
        from = 0
        isShorter = false
      }
      return { ...best, items: best.items.toSpliced(from, size) }
    },
    /** What became of it. */
    tried: (shorter: Schedule<D>, fails: boolean) => {
      if (!fails) {
        from += size
        return
      }
      best = shorter
      isShorter = true
    }
  }
}
