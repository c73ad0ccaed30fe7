import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { Batch } from "../../../src/websocket/internal/batch.ts"
import { Budget, type Debtor } from "../../../src/websocket/internal/budget.ts"
import { Flusher } from "../../../src/websocket/internal/flusher.ts"
import { Outbox } from "../../../src/websocket/Outbox.ts"
import { FakeWriter, HandTurn, wsFrame } from "../../support/outbound.ts"

/** A connection whose peer takes what the test says. */
class Connection implements Debtor {
  readonly name: string
  unsentBytes = 0
  ended = false
  /** How often it was cut. */
  cuts = 0
  readonly #budget: Budget

  constructor(name: string, budget: Budget) {
    this.name = name
    this.#budget = budget
  }

  owe(bytes: number): void {
    this.unsentBytes += bytes
    this.#budget.wait(this, bytes)
  }

  cut(): void {
    this.cuts++
    if (this.ended) this.unsentBytes = 0
    this.ended = true
  }
}

const make = (bytes: number) => {
  const budget = new Budget(bytes)
  return { budget, connection: (name = "") => new Connection(name, budget) }
}

describe("Budget", () => {
  it("SEC29: over the bound those who owe the most are cut first, and no more than it takes", () => {
    const { budget, connection } = make(1000)
    const debts = [200, 500, 300, 400, 100]
    const all = debts.map((debt) => Object.assign(connection(), { unsentBytes: debt }))
    for (const one of all) budget.wait(one, 0)
    budget.check()
    assert.deepStrictEqual(
      all.map(({ cuts }) => cuts),
      [0, 1, 0, 0, 0]
    )
    all[0]!.unsentBytes = 700
    budget.check()
    assert.deepStrictEqual(
      all.map(({ cuts }) => cuts),
      [1, 2, 0, 0, 0]
    )
  })

  it("nobody is cut as long as the bound is not passed", () => {
    const { budget, connection } = make(1000)
    const [one, other] = [connection(), connection()]
    one.owe(999)
    other.owe(1)
    budget.check()
    assert.deepStrictEqual([one.cuts, other.cuts], [0, 0])
    other.owe(1)
    budget.check()
    assert.deepStrictEqual([one.cuts, other.cuts], [1, 0])
  })

  it("who was cut and has still its bytes is destroyed before anybody else is cut, and counts until then", () => {
    const { budget, connection } = make(1000)
    const [one, other] = [connection(), connection()]
    const owe = (first: number, second: number) => {
      one.unsentBytes = first
      other.unsentBytes = second
      for (const each of [one, other]) budget.wait(each, 0)
      budget.check()
      return [one.cuts, other.cuts]
    }
    assert.deepStrictEqual(owe(600, 500), [1, 0])
    assert.deepStrictEqual(owe(500, 500), [1, 0], "it has taken some")
    assert.deepStrictEqual(owe(400, 700), [2, 0])
    assert.deepStrictEqual(owe(0, 1000), [2, 0])
    assert.deepStrictEqual(owe(0, 1001), [2, 1])
  })

  it("is looked at when a sixteenth of it was written, without being asked", () => {
    const { connection } = make(1600)
    const one = connection()
    for (let written = 0; written < 1600; written += 50) one.owe(50)
    assert.strictEqual(one.cuts, 0)
    one.owe(99)
    assert.strictEqual(one.cuts, 0, "not a sixteenth yet")
    one.owe(1)
    assert.strictEqual(one.cuts, 1)
  })

  it("forgets who owes nothing any more, and who is gone", () => {
    const { budget, connection } = make(1000)
    const [one, other, third] = [connection(), connection(), connection()]
    for (const each of [one, other, third]) each.owe(10)
    assert.strictEqual(budget.size, 3)
    one.unsentBytes = 0
    budget.forget(other)
    budget.check()
    assert.strictEqual(budget.size, 1)
    one.unsentBytes = 2000
    other.unsentBytes = 2000
    budget.check()
    assert.deepStrictEqual([one.cuts, other.cuts, third.cuts], [0, 0, 0])
  })

  const Step = Schema.TaggedUnion({
    Owe: { who: Schema.Literals([0, 1, 2, 3]), bytes: Schema.Literals([1, 30, 200, 700]) },
    Take: { who: Schema.Literals([0, 1, 2, 3]) },
    Check: {}
  })
  const steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 40 })

  it.prop("never cuts below the bound, and leaves nobody above it who could be cut", [steps], ([list]) => {
    const bound = 1000
    const { budget, connection } = make(bound)
    const all = ["a", "b", "c", "d"].map(connection)
    for (const step of list) {
      const owed = all.map(({ unsentBytes }) => unsentBytes)
      const before = all.map(({ cuts, ended }) => ({ cuts, ended }))
      if (step._tag === "Owe") {
        owed[step.who]! += step.bytes
        all[step.who]!.owe(step.bytes)
      } else if (step._tag === "Take") all[step.who]!.unsentBytes = 0
      else budget.check()
      if (step._tag === "Take") continue

      const cut = all.flatMap(({ cuts }, index) => (cuts > before[index]!.cuts ? [index] : []))
      const others = all.flatMap((_, index) => (cut.includes(index) ? [] : [index]))
      const sum = (indexes: ReadonlyArray<number>) => indexes.reduce((total, index) => total + owed[index]!, 0)
      const left = sum(others)
      if (step._tag === "Check") assert.isAtMost(left, bound)
      if (cut.length === 0) continue
      assert.isAbove(sum([...cut, ...others]), bound)
      const rank = (index: number) => owed[index]! + (before[index]!.ended ? 1e6 : 0)
      const last = cut.reduce((least, index) => (rank(index) < rank(least) ? index : least))
      assert.isAbove(left + owed[last]!, bound, "without the last cut it would have been too much")
      for (const index of others) if (owed[index]! > 0) assert.isAtMost(rank(index), rank(last))
    }
  })
})

const makeOutbox = (budget: Budget, outboxBytes = 1e9) => {
  const turn = new HandTurn()
  const flusher = new Flusher(turn)
  const writer = new FakeWriter()
  writer.room = 0
  const seen = { overflows: 0, destroyed: 0, writtenLate: false }
  const outbox = new Outbox({
    writer: {
      get open() {
        return true
      },
      congested: false,
      write: (runs, bytes) => {
        if (seen.overflows > 0) seen.writtenLate = true
        writer.write(runs, bytes)
      },
      unsentBytes: writer.unsentBytes
    },
    limits: { outboxBytes, outboxMessages: 1e9 },
    flusher,
    budget,
    onOverflow: () => void seen.overflows++,
    destroy: () => void seen.destroyed++
  })
  const batch = new Batch<string>({ flusher, encode: (text) => text, onDelivered: () => {} })
  batch.join(outbox, "a")
  const write = (bytes: number) => {
    outbox.offer(wsFrame("x".repeat(bytes - 4)))
    turn.end()
  }
  return { outbox, batch, turn, writer, seen, write }
}

describe("Budget and Outbox", () => {
  it("an outbox that is cut takes nothing more; cut again, it lets go of what it has", () => {
    const budget = new Budget(16_000)
    const { outbox, seen, write } = makeOutbox(budget)
    write(16_000)
    assert.strictEqual(seen.overflows, 0)
    write(1000)
    assert.deepStrictEqual([seen.overflows, seen.destroyed], [1, 0])
    assert.isTrue(outbox.ended)
    assert.isFalse(outbox.offer(wsFrame("more")))
    budget.check()
    assert.deepStrictEqual([seen.overflows, seen.destroyed], [1, 1])
  })

  it("an outbox whose peer takes everything owes nothing", () => {
    const budget = new Budget(100)
    const { seen, write, writer } = makeOutbox(budget)
    writer.room = Number.POSITIVE_INFINITY
    for (let n = 0; n < 10; n++) write(1000)
    assert.strictEqual(seen.overflows, 0)
    assert.strictEqual(budget.size, 0)
  })
})
