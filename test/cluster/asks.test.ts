/**
 * Which answers are taken for an answer, where questions are asked again before they are answered.
 */
import { assert, describe, it } from "@effect/vitest"
import { Asks } from "../../src/cluster/internal/asks.ts"
import type { Control, OnWord } from "../../src/cluster/internal/control.ts"
import { Interest } from "../../src/cluster/internal/interest.ts"
import type { Listener, Nodes } from "../../src/cluster/internal/nodes.ts"

/** One other node, `x`, which hears what is asked and is down when the test says so. */
const open = () => {
  const handlers = new Map<string, OnWord>()
  const numbers: Array<number> = []
  const stands: Array<number> = []
  const unanswered: Array<string> = []
  let listener: Listener = {}
  const tasks: Array<() => void> = []
  const control = {
    on: (kind: string, handler: OnWord) => void handlers.set(kind, handler),
    tell: () => {},
    tellOne: (_: string, __: string, word: { readonly number: number }) => void numbers.push(word.number)
  }
  const node = { epoch: "x" }
  const nodes = {
    up: [node],
    isUp: () => true,
    isThere: () => true,
    listen: (one: Listener) => {
      listener = one
    }
  }
  const asks = new Asks({
    control: control as unknown as Control,
    nodes: nodes as unknown as Nodes,
    turn: { atEnd: (task) => void tasks.push(task) },
    interest: new Interest(),
    later: () => {},
    standOf: () => [0, 0, 0],
    formerStandOf: () => undefined,
    onStand: (_, [, , position]) => void stands.push(position),
    onUnanswered: (_, topic) => void unanswered.push(topic),
    topics: () => [],
    listensTo: () => true
  })
  return {
    stands,
    unanswered,
    /** Asks and answers the number of the question. */
    ask: (): number => {
      asks.ask(["topic"], ["x"])
      for (const task of tasks.splice(0)) task()
      return numbers.at(-1)!
    },
    answer: (number: number, position: number) =>
      handlers.get("stand")!("x", { number, stands: [["topic", 1, position, 0]] }),
    down: () => listener.onEvent?.({ _tag: "Down", node: node as never })
  }
}

describe("a question that is asked again", () => {
  it("is not answered by the answer to the one before: what was published in between may be missing", () => {
    const { answer, ask, down, stands, unanswered } = open()
    const first = ask()
    ask()
    answer(first, 10)
    down()
    assert.deepStrictEqual([stands, unanswered], [[], ["topic"]])
  })

  it("is answered by its own", () => {
    const { answer, ask, down, stands, unanswered } = open()
    ask()
    answer(ask(), 11)
    down()
    assert.deepStrictEqual([stands, unanswered], [[11], []])
  })
})
