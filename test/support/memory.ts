/**
 * Asking the garbage collector: what is still held, and how large the heap is.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** The indices of what is still reachable after collecting. */
export const survivors = async (refs: ReadonlyArray<WeakRef<object>>): Promise<ReadonlyArray<number>> => {
  for (let round = 0; round < 3; round++) {
    // What was looked at in this turn is kept until its end.
    await nextTurn()
    collect()
  }
  return refs.flatMap((ref, index) => (ref.deref() === undefined ? [] : [index]))
}

/** Bytes of the heap in use after collecting. */
export const usedHeap = async (): Promise<number> => {
  await nextTurn()
  collect()
  return process.memoryUsage().heapUsed
}
