/**
 * Where a subscription's items come from: the shared ring, or a bounded buffer of its own for the other policies.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as PubSub from "effect/PubSub"
import { type Envelope, Gap, type Loss } from "../Envelope.ts"
import { type Overflow, SlowConsumer } from "../Subscription.ts"
import type { Source } from "../../internal/cursor.ts"
import type { Sink } from "../Sink.ts"
import type { Hub, RingReader, Sleeper } from "./hub.ts"
import { isExcepted } from "./hub.ts"
import type { Turn } from "../../internal/turn.ts"

export type Item<A> = Envelope<A> | Gap

/** At most this many entries leave the ring at once, so a reader that stalls over a batch holds little. */
const batchSize = 64

abstract class HubSource<A> implements Source<Item<A>, SlowConsumer>, Sleeper {
  protected readonly hub: Hub<A>
  readonly #turn: Turn
  readonly receivers: ReadonlyArray<string>
  exit: Exit.Exit<void, SlowConsumer> | undefined
  #waiter: (() => void) | undefined

  constructor(hub: Hub<A>, turn: Turn, receivers: ReadonlyArray<string>) {
    this.hub = hub
    this.#turn = turn
    this.receivers = receivers
  }

  abstract poll(): ReadonlyArray<Item<A>>
  abstract readonly hasNews: boolean
  abstract readonly pending: number
  abstract readonly dropped: number
  protected abstract detach(): void

  get waiter(): (() => void) | undefined {
    return this.#waiter
  }

  set waiter(waiter: (() => void) | undefined) {
    this.#waiter = waiter
    if (waiter === undefined) this.hub.rouse(this)
    else this.hub.sleep(this)
  }

  wake(): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.()
  }

  close(): void {
    this.end(Exit.void)
  }

  /** Detaches; the first end counts. A waiting reader learns of it at the end of the turn. */
  end(exit: Exit.Exit<void, SlowConsumer>): void {
    if (this.exit !== undefined) return
    this.exit = exit
    this.detach()
    this.hub.rouse(this)
    if (this.#waiter !== undefined) this.#turn.atEnd(() => this.wake())
  }
}

/** Reads the shared ring; `dropOldest` and `fail`. */
class RingSource<A> extends HubSource<A> implements RingReader {
  readonly #failOnLoss: boolean
  readonly #backing: PubSub.PubSub.BackingSubscription<Envelope<A> | Loss>
  /** Position up to which everything was read or counted as lost. */
  #position: number
  #lost = 0
  /** Positions not meant for this reader that may still be in the ring, and how many fell out of it unread. */
  #excluded: Array<number> = []
  #excludedGone = 0

  constructor(hub: Hub<A>, turn: Turn, receivers: ReadonlyArray<string>, failOnLoss: boolean) {
    super(hub, turn, receivers)
    this.#failOnLoss = failOnLoss
    this.#position = hub.roomSeq
    this.#backing = hub.attachReader(this)
  }

  get hasNews(): boolean {
    return this.exit !== undefined || this.#backing.size() > 0
  }

  exclude(roomSeq: number): void {
    this.#excluded.push(roomSeq)
    while (this.#excluded[0]! <= roomSeq - this.hub.capacity) {
      this.#excluded.shift()
      this.#excludedGone++
    }
  }

  /** Messages between the position and `first` that this reader should have had. */
  #missedBefore(first: number): number {
    const excluded = this.#excluded.filter((roomSeq) => roomSeq < first).length + this.#excludedGone
    return first - this.#position - 1 - excluded
  }

  #lose(messages: number): void {
    this.#lost += messages
    this.hub.dropped(messages)
  }

  #firstInRing(): number {
    return this.hub.roomSeq - this.#backing.size() + 1
  }

  get pending(): number {
    if (this.exit !== undefined) return 0
    const first = this.#firstInRing()
    return this.#backing.size() - this.#excluded.filter((roomSeq) => roomSeq >= first).length
  }

  get dropped(): number {
    return this.#lost + (this.exit === undefined ? this.#missedBefore(this.#firstInRing()) : 0)
  }

  poll(): ReadonlyArray<Item<A>> {
    while (this.exit === undefined) {
      const entries = this.#backing.pollUpTo(batchSize)
      if (entries.length === 0) return []
      const items = this.#received(entries)
      if (items.length > 0) return items
    }
    return []
  }

  /** Counts what is missing before the entries and drops those not meant for this reader. */
  #received(entries: ReadonlyArray<Envelope<A> | Loss>): ReadonlyArray<Item<A>> {
    const missed = this.#missedBefore(entries[0]!.roomSeq)
    this.#lose(missed)
    this.#position = entries[entries.length - 1]!.roomSeq
    this.#excludedGone = 0
    const some = this.#excluded.length > 0
    if (some) this.#excluded = this.#excluded.filter((roomSeq) => roomSeq > this.#position)
    if (missed > 0 && this.#failOnLoss) {
      this.end(Exit.fail(new SlowConsumer({ missed })))
      return []
    }
    const mine = some ? entries.filter((entry) => !isExcepted(entry, this.receivers)) : entries
    const items = mine.some(isLoss) ? this.#withGaps(mine) : (mine as ReadonlyArray<Envelope<A>>)
    return missed > 0 ? [new Gap(missed), ...items] : items
  }

  #withGaps(entries: ReadonlyArray<Envelope<A> | Loss>): ReadonlyArray<Item<A>> {
    const items = entries.map((entry) => {
      if (!isLoss(entry)) return entry
      this.#lose(entry.missed)
      return new Gap(entry.missed, "network")
    })
    if (!this.#failOnLoss) return items
    this.end(Exit.fail(new SlowConsumer({ missed: this.#lost })))
    return items.slice(
      0,
      items.findIndex(({ _tag }) => _tag === "Gap")
    )
  }

  protected detach(): void {
    this.#lose(this.#missedBefore(this.#firstInRing()))
    this.#backing.unsubscribe()
    this.hub.detachReader(this)
  }
}

/** A buffer of its own that keeps what it has; `dropNewest`. */
class KeepingSource<A> extends HubSource<A> implements Sink<A> {
  readonly size = 1
  #items: Array<Item<A>> = []
  #messages = 0
  #lostSinceLast = 0
  dropped = 0

  constructor(hub: Hub<A>, turn: Turn, receivers: ReadonlyArray<string>) {
    super(hub, turn, receivers)
    hub.attachSink(this)
  }

  get hasNews(): boolean {
    return this.exit !== undefined || this.#items.length > 0
  }

  get pending(): number {
    return this.#messages
  }

  deliver(envelope: Envelope<A>): number {
    if (isExcepted(envelope, this.receivers)) return 0
    if (this.#messages >= this.hub.capacity) {
      this.#lostSinceLast++
      this.dropped++
      this.hub.dropped(1)
    } else {
      this.#messages++
      this.#items.push(envelope)
    }
    return 0
  }

  /** What is missing of another node is told where it is missing. */
  lose(missed: number): void {
    const last = this.#items.at(-1)
    const before = this.#lostSinceLast + (last?._tag === "Gap" ? last.missed : 0)
    if (last?._tag === "Gap") this.#items.pop()
    this.#items.push(new Gap(missed === 0 ? 0 : before + missed, "network"))
    this.#lostSinceLast = 0
    this.dropped += missed
    this.hub.dropped(missed)
  }

  poll(): ReadonlyArray<Item<A>> {
    const items = this.#items
    if (this.#lostSinceLast > 0) items.push(new Gap(this.#lostSinceLast))
    this.#items = []
    this.#messages = 0
    this.#lostSinceLast = 0
    return items
  }

  protected detach(): void {
    this.hub.detachSink(this)
    this.#items = []
    this.#messages = 0
    this.#lostSinceLast = 0
  }
}

/** A buffer of its own that keeps the newest message of each key, at most as many keys as the capacity; `latest`. */
class LatestSource<A> extends HubSource<A> implements Sink<A> {
  readonly size = 1
  readonly #keyOf: (message: A) => unknown
  #latest = new Map<unknown, Envelope<A>>()
  #lostSinceLast = 0
  /** Messages of other nodes are among those that were lost. */
  #lostOnTheWay = false
  dropped = 0

  constructor(hub: Hub<A>, turn: Turn, receivers: ReadonlyArray<string>, keyOf: (message: A) => unknown) {
    super(hub, turn, receivers)
    this.#keyOf = keyOf
    hub.attachSink(this)
  }

  get hasNews(): boolean {
    return this.exit !== undefined || this.#latest.size > 0 || this.#lostOnTheWay
  }

  get pending(): number {
    return this.#latest.size
  }

  /** The key function is the only user code that runs in a step: if it throws, this subscription dies and no other. */
  deliver(envelope: Envelope<A>): number {
    if (isExcepted(envelope, this.receivers)) return 0
    try {
      this.#keep(this.#keyOf(envelope.message), envelope)
    } catch (defect) {
      this.end(Exit.failCause(Cause.die(defect)))
    }
    return 0
  }

  #keep(key: unknown, envelope: Envelope<A>): void {
    const replaced = this.#latest.delete(key)
    const full = !replaced && this.#latest.size >= this.hub.capacity
    if (full) this.#latest.delete(this.#latest.keys().next().value)
    if (replaced || full) {
      this.#lostSinceLast++
      this.dropped++
      this.hub.dropped(1)
    }
    this.#latest.set(key, envelope)
  }

  lose(missed: number): void {
    this.#lostOnTheWay = true
    this.#lostSinceLast += missed
    this.dropped += missed
    this.hub.dropped(missed)
  }

  poll(): ReadonlyArray<Item<A>> {
    const items: Array<Item<A>> = []
    if (this.#lostOnTheWay) items.push(new Gap(this.#lostSinceLast, "network"))
    else if (this.#lostSinceLast > 0) items.push(new Gap(this.#lostSinceLast))
    this.#lostOnTheWay = false
    items.push(...this.#latest.values())
    this.#latest = new Map()
    this.#lostSinceLast = 0
    return items
  }

  protected detach(): void {
    this.hub.detachSink(this)
    this.#latest = new Map()
    this.#lostSinceLast = 0
  }
}

const isLoss = <A>(entry: Envelope<A> | Loss): entry is Loss => entry._tag === "Loss"

const sameKey = () => undefined

/** Attaches a source with the given policy; nothing can be published between the call and its return. */
export const attach = <A>(
  hub: Hub<A>,
  turn: Turn,
  receivers: ReadonlyArray<string>,
  overflow: Overflow<A>
): HubSource<A> => {
  switch (overflow) {
    case "dropOldest":
      return new RingSource(hub, turn, receivers, false)
    case "fail":
      return new RingSource(hub, turn, receivers, true)
    case "dropNewest":
      return new KeepingSource(hub, turn, receivers)
    case "latest":
      return new LatestSource(hub, turn, receivers, sameKey)
    default:
      return new LatestSource(hub, turn, receivers, overflow.latestBy)
  }
}

export type { HubSource }
