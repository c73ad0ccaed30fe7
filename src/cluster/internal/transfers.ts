/**
 * All entries of this node for those who ask: part after part, each when the one before has arrived, so that however much
 * there is, little of it is on its way or in one step.
 */
import type { Change, Replica } from "../ReplicaState.ts"
import * as State from "../ReplicaState.ts"

/** Which part of which version is asked for; the first of whatever there is without a version. */
export interface Asked {
  readonly version: number
  readonly part: number
}

export interface Part extends Asked {
  readonly isLast: boolean
  readonly changes: ReadonlyArray<Change>
}

interface Transfer {
  readonly version: number
  readonly left: Iterator<Change>
  /** Comes next, and did not fit. */
  next: Change | undefined
  sent: Part
}

/** Bytes of a part, about: some thousand entries. */
const partBytes = 256 * 1024

/** Bytes a change takes in a packet. */
export const bytesOf = ({ key, table, value }: Change): number =>
  Buffer.byteLength(JSON.stringify([table, key, value ?? null])) + 1

export class Transfers {
  readonly #transfers = new Map<string, Transfer>()

  /** The part that is asked for, or the first of the present version where that cannot be given. */
  part(to: string, { part, version }: Asked, own: Replica, maxBytes: number): Part {
    const room = Math.min(maxBytes, partBytes)
    const known = this.#transfers.get(to)
    if (known?.version === version && part > 0) {
      if (part === known.sent.part + 1) this.#advance(known, room)
      if (part === known.sent.part) return this.#done(to, known)
    }
    const entries = State.iterate(own)
    const nothing: Part = { version: own.version, part: -1, isLast: false, changes: [] }
    const begun: Transfer = { version: own.version, left: entries, next: take(entries), sent: nothing }
    this.#transfers.set(to, begun)
    this.#advance(begun, room)
    return this.#done(to, begun)
  }

  /** The node has gone. */
  forget(to: string): void {
    this.#transfers.delete(to)
  }

  #done(to: string, { sent }: Transfer): Part {
    if (sent.isLast) this.#transfers.delete(to)
    return sent
  }

  #advance(transfer: Transfer, room: number): void {
    const changes: Array<Change> = []
    let bytes = 0
    while (transfer.next !== undefined) {
      const more = bytesOf(transfer.next)
      if (bytes + more > room && changes.length > 0) break
      // What no packet can hold was never told, or the bus took more then.
      if (more <= room) {
        changes.push(transfer.next)
        bytes += more
      }
      transfer.next = take(transfer.left)
    }
    const { sent, version } = transfer
    transfer.sent = { version, part: sent.part + 1, isLast: transfer.next === undefined, changes }
  }
}

const take = (left: Iterator<Change>): Change | undefined => {
  const { done, value } = left.next()
  return done === true ? undefined : value
}
