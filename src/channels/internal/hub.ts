/**
 * The hub of one key: where a publish becomes entries in the shared ring and calls to the sinks, in one step.
 *
 * The ring is the storage of Effect's `PubSub` (`PubSub.makeAtomicBounded`): one array for all readers, a cursor each.
 * Sliding is done here, at the publish, and waking once per turn, so that no user code runs inside the step and the
 * step cannot be re-entered. All readers and sinks of a key see one order because they are served by one step.
 */
import * as PubSub from "effect/PubSub"
import { Envelope, Loss } from "../Envelope.ts"
import { History } from "../History.ts"
import type { Turn } from "../../internal/turn.ts"
import type { Sink, Wire } from "../Sink.ts"

/** A reader of the ring, as the hub sees it. */
export interface RingReader {
  readonly receivers: ReadonlyArray<string>
  /** Told of each position that was published past this reader on purpose. */
  exclude(roomSeq: number): void
  /** The channel is closing. */
  close(): void
}

/** Something that waits to be woken at the end of the turn. */
export interface Sleeper {
  readonly hasNews: boolean
  wake(): void
}

export interface HubOptions {
  readonly capacity: number
  readonly replay: number
  readonly turn: Turn
  readonly onDropped: (messages: number) => void
}

export class Hub<A> {
  readonly #options: HubOptions
  readonly #sinks = new Set<Sink<A>>()
  readonly #readers = new Set<RingReader>()
  readonly #sleepers = new Set<Sleeper>()
  /** By wire, the sink its receivers share. */
  #shared: Map<Wire<A, Sink<A>>, Sink<A>> | undefined
  #ring: PubSub.PubSub.Atomic<Envelope<A> | Loss> | undefined
  #wakeScheduled = false
  readonly history: History<Envelope<A>> | undefined
  /** Position of the newest message. */
  roomSeq: number
  /** Monotonic time since which nobody is attached, in milliseconds. */
  idleSince = 0

  constructor(firstSeq: number, options: HubOptions) {
    this.roomSeq = firstSeq
    this.#options = options
    this.history = options.replay > 0 ? new History(options.replay) : undefined
  }

  get capacity(): number {
    return this.#options.capacity
  }

  /** A subscription has lost messages. */
  dropped(messages: number): void {
    if (messages > 0) this.#options.onDropped(messages)
  }

  get attached(): number {
    let receivers = this.#readers.size
    for (const sink of this.#sinks) receivers += sink.size
    return receivers
  }

  get isIdle(): boolean {
    return this.#readers.size === 0 && this.#sinks.size === 0
  }

  /**
   * The step. Everything a publish does on this node happens here, before anybody else can run. Answers the bytes that
   * go out because of it.
   */
  append(epoch: string, id: string | number, message: A, except: ReadonlyArray<string>): number {
    const envelope = new Envelope(epoch, ++this.roomSeq, id, message, except)
    this.history?.push(envelope)
    this.#show(envelope)
    if (except.length > 0) this.#tellExcluded(envelope)
    let bytes = 0
    for (const sink of this.#sinks) bytes += sink.deliver(envelope)
    if (this.#sleepers.size > 0) this.#scheduleWake()
    return bytes
  }

  #show(entry: Envelope<A> | Loss): void {
    if (this.#readers.size === 0) return
    const ring = this.#ring!
    if (ring.publish(entry)) return
    ring.slide()
    ring.publish(entry)
  }

  /** Messages of another node are missing here: so many, or 0 where nobody knows how many. */
  lose(missed: number): void {
    this.#show(new Loss(++this.roomSeq, missed))
    for (const sink of this.#sinks) sink.lose?.(missed, this.roomSeq)
    if (this.#sleepers.size > 0) this.#scheduleWake()
  }

  #tellExcluded(envelope: Envelope<A>): void {
    for (const reader of this.#readers) {
      if (isExcepted(envelope, reader.receivers)) reader.exclude(envelope.roomSeq)
    }
  }

  attachReader(reader: RingReader): PubSub.PubSub.BackingSubscription<Envelope<A> | Loss> {
    this.#ring ??= PubSub.makeAtomicBounded(this.#options.capacity)
    this.#readers.add(reader)
    return this.#ring.subscribe()
  }

  detachReader(reader: RingReader): void {
    this.#readers.delete(reader)
    if (this.#readers.size === 0) this.#ring = undefined
  }

  attachSink(sink: Sink<A>): void {
    this.#sinks.add(sink)
  }

  detachSink(sink: Sink<A>): void {
    this.#sinks.delete(sink)
  }

  /** Adds a receiver to the sink of its wire; what is returned takes it out. */
  attach<S extends Sink<A>>(
    kind: string,
    identifier: string,
    wire: Wire<A, S>,
    join: (sink: S) => () => void
  ): () => void {
    const shared = (this.#shared ??= new Map())
    // What a wire has made is what it makes.
    let sink = shared.get(wire) as S | undefined
    if (sink === undefined) {
      sink = wire.open(kind, identifier)
      shared.set(wire, sink)
      this.attachSink(sink)
    }
    const served = sink
    const leave = join(served)
    return () => {
      leave()
      if (served.size > 0 || shared.get(wire) !== served) return
      shared.delete(wire)
      this.detachSink(served)
    }
  }

  close(): void {
    for (const attached of [...this.#readers, ...this.#sinks]) attached.close()
  }

  sleep(sleeper: Sleeper): void {
    this.#sleepers.add(sleeper)
  }

  rouse(sleeper: Sleeper): void {
    this.#sleepers.delete(sleeper)
  }

  #scheduleWake(): void {
    if (this.#wakeScheduled) return
    this.#wakeScheduled = true
    this.#options.turn.atEnd(() => {
      this.#wakeScheduled = false
      for (const sleeper of Array.from(this.#sleepers)) {
        if (sleeper.hasNews && this.#sleepers.delete(sleeper)) sleeper.wake()
      }
    })
  }
}

/** Tells whether a message must not reach a receiver known by these ids. */
export const isExcepted = (envelope: Envelope<unknown> | Loss, receivers: ReadonlyArray<string>): boolean =>
  envelope.except.length > 0 && envelope.except.some((id) => receivers.includes(id))
