import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { Frames, merge, type Run, without } from "../../../src/websocket/internal/frames.ts"
import { readFrames, wsFrame } from "../../support/outbound.ts"

/** Frames whose texts are their places. */
const framesAt = (places: ReadonlyArray<number>): Frames => {
  const frames = new Frames()
  for (const place of places) frames.push(wsFrame(String(place)), place)
  return frames
}

const run = (frames: Frames, from = 0, to = frames.length): Run => ({ frames, from, to })
const read = (runs: ReadonlyArray<Run>) =>
  runs.map(({ frames, from, to }) => readFrames(frames.slice(from, to)).map(Number))

describe("Frames", () => {
  it("nothing was pushed to has no bytes", () => {
    const frames = new Frames()
    assert.strictEqual(frames.length, 0)
    assert.strictEqual(frames.bytes, 0)
    assert.strictEqual(frames.size(0, 0), 0)
  })

  it("a lone frame is not copied", () => {
    const frame = wsFrame("text")
    const frames = new Frames()
    frames.push(frame, 1)
    frames.push(wsFrame("other"), 2)
    assert.strictEqual(frames.slice(0, 1), frame)
    assert.strictEqual(frames.frame(0), frame)
  })

  it("members with the same slice share its bytes", () => {
    const frames = framesAt([1, 2, 3])
    assert.strictEqual(frames.slice(0, 3), frames.slice(0, 3))
    assert.strictEqual(frames.slice(1, 3).buffer, frames.slice(0, 2).buffer)
  })

  const Step = Schema.TaggedUnion({
    Push: { bytes: Schema.Literals([0, 1, 125, 126, 300]) },
    Slice: { from: Schema.Literals([0, 1, 2, 3, 5]), count: Schema.Literals([1, 2, 3, 9]) },
    Clear: {}
  })

  it.prop(
    "slices, sizes and bytes are those of the frames pushed so far, whatever was asked before",
    [Arbitrary.array(Arbitrary.schema(Step), { maxLength: 40 })],
    ([steps]) => {
      const frames = new Frames()
      const pushed: Array<Buffer> = []
      let places = 0
      for (const step of steps) {
        if (step._tag === "Push") {
          const frame = wsFrame(String(pushed.length).padEnd(step.bytes, "x"))
          pushed.push(frame)
          frames.push(frame, places++)
        } else if (step._tag === "Clear") {
          pushed.length = 0
          frames.clear()
        } else {
          const to = Math.min(step.from + step.count, pushed.length)
          if (to <= step.from) continue
          const expected = Buffer.concat(pushed.slice(step.from, to))
          assert.strictEqual(frames.size(step.from, to), expected.length)
          assert.isTrue(frames.slice(step.from, to).equals(expected))
        }
        assert.strictEqual(frames.length, pushed.length)
        if (pushed.length > 0) assert.strictEqual(frames.place(pushed.length - 1), places - 1)
        assert.strictEqual(frames.bytes, Buffer.concat(pushed).length)
      }
    },
    { arbitrary: { runs: 500, size: 200 } }
  )
})

describe("without", () => {
  const indexes = Schema.Literals([0, 1, 2, 3, 4, 5, 6, 7])
  const some = Arbitrary.map(Arbitrary.array(Arbitrary.schema(indexes), { maxLength: 8 }), (list) =>
    list.toSorted((a, b) => a - b)
  )

  it.prop(
    "gives every frame of the slice but those left out, once and in order, in as few runs as there can be",
    [Arbitrary.schema(indexes), Arbitrary.schema(indexes), some],
    ([a, b, left]) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)]
      const frames = framesAt([0, 1, 2, 3, 4, 5, 6])
      const runs = without(frames, from, to, left)
      const all = [0, 1, 2, 3, 4, 5, 6].slice(from, to)
      const expected = all.filter((index) => !left.includes(index as never))
      assert.deepStrictEqual(read(runs).flat(), expected)
      const gaps = expected.filter((index, n) => n > 0 && expected[n - 1] !== index - 1).length
      assert.strictEqual(runs.length, expected.length === 0 ? 0 : gaps + 1)
    }
  )
})

describe("merge", () => {
  it("leaves a single run as it is", () => {
    const runs = [run(framesAt([3, 4]))]
    assert.strictEqual(merge(runs), runs)
    assert.deepStrictEqual(merge([]), [])
  })

  it("what stays together stays one run", () => {
    const merged = merge([run(framesAt([4, 5, 6])), run(framesAt([1, 2, 3, 8, 9]))])
    assert.deepStrictEqual(read(merged), [
      [1, 2, 3],
      [4, 5, 6],
      [8, 9]
    ])
  })

  it("runs of the same frames give each of them twice, in the order of the frames", () => {
    const frames = framesAt([1, 2, 3])
    assert.deepStrictEqual(read(merge([run(frames), run(frames)])).flat(), [1, 1, 2, 2, 3, 3])
    assert.deepStrictEqual(read(merge([run(frames, 1), run(frames)])).flat(), [1, 2, 2, 3, 3])
  })

  const owners = Arbitrary.array(Arbitrary.schema(Schema.Literals([0, 1, 2, 3])), { maxLength: 40 })
  const cuts = Arbitrary.array(Arbitrary.schema(Schema.Literals([1, 2, 3, 5])), { maxLength: 12 })

  it.prop(
    "gives every frame once, in the order of the places, however they were cut into runs",
    [owners, cuts],
    ([owner, lengths]) => {
      const runs: Array<Run> = []
      for (const n of [0, 1, 2, 3]) {
        const frames = framesAt(owner.flatMap((of, place) => (of === n ? [place] : [])))
        let from = 0
        for (const length of [...lengths, 100]) {
          const to = Math.min(from + length, frames.length)
          if (from < to) runs.unshift(run(frames, from, to))
          from = to
        }
      }
      assert.deepStrictEqual(
        read(merge(runs)).flat(),
        owner.map((_, place) => place)
      )
    }
  )
})
