/**
 * What a reader of a channel can be handed: a message with its position, or a `Gap` where messages had to be dropped.
 */

/**
 * Carries one published message together with its position in the channel.
 *
 * `epoch` and `roomSeq` say where the message stands among the messages of its key on this node: `roomSeq` rises by
 * one from message to message while anybody listens, and is never used twice for a key within one `epoch`. `id` names
 * the publish itself and stays the same on every node.
 */
export class Envelope<out A> {
  readonly _tag = "Message"
  /** Random name of the start of the service that numbered this message. */
  readonly epoch: string
  /** Position within the key, on this node and in this epoch; 0 when nobody listened and it was not numbered. */
  readonly roomSeq: number
  readonly message: A
  /** Ids of receivers (subscriptions, connections) that must not see this message. */
  readonly except: ReadonlyArray<string>
  readonly #id: string | number

  /** A number as `id` stands for the n-th publish of this epoch; its text is made only when somebody reads it. */
  constructor(epoch: string, roomSeq: number, id: string | number, message: A, except: ReadonlyArray<string>) {
    this.epoch = epoch
    this.roomSeq = roomSeq
    this.#id = id
    this.message = message
    this.except = except
  }

  /** Names this publish, on every node it reaches. */
  get id(): string {
    return typeof this.#id === "number" ? publishId(this.epoch, this.#id) : this.#id
  }
}

/** Names the n-th publish of an epoch. */
export const publishId = (epoch: string, n: number): string => `${epoch}-${n.toString(36)}`

/**
 * Stands where messages are missing: the reader was slower than its bound allows (`"slow"`), or messages of another node
 * did not get here (`"network"`).
 */
export class Gap {
  readonly _tag = "Gap"
  /**
   * How many messages this reader would have received and did not. Exact and at least 1, but for 0 where the other nodes
   * could not be heard and nobody knows.
   */
  readonly missed: number
  readonly reason: "slow" | "network"
  constructor(missed: number, reason: "slow" | "network" = "slow") {
    this.missed = missed
    this.reason = reason
  }
}

/** The place among the messages of a key where some of another node are missing; 0 where nobody knows how many. */
export class Loss {
  readonly _tag = "Loss"
  readonly roomSeq: number
  readonly missed: number
  readonly except: ReadonlyArray<string> = []
  constructor(roomSeq: number, missed: number) {
    this.roomSeq = roomSeq
    this.missed = missed
  }
}
