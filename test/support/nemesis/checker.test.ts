/**
 * The checker of the fault test finds what is planted in a good history, each sort of violation, and nothing else.
 */
import { assert, describe, it } from "@effect/vitest"
import { check, type Kind } from "./checker.ts"
import { type Connection, History, type Item, type Reached } from "./history.ts"

const feed = "line/red"
const gap = (missed: number, reason: "slow" | "network" = "network"): Item => ({ missed, reason })

/**
 * Two publishers on node a and one on node b have said ten messages each, in turn, and all was acknowledged. `near` is
 * on node a and `far` on node b; they were there before the first message, and are to the end.
 */
class Story {
  readonly history = new History()
  #now = 100
  readonly publishers: ReadonlyArray<Connection>
  readonly near: Connection
  readonly far: Connection

  constructor() {
    for (const life of ["a1", "b1"]) this.history.begin(life)
    this.near = this.connect("near", "a1")
    this.far = this.connect("far", "b1")
    this.publishers = [this.connect("p", "a1"), this.connect("q", "a1"), this.connect("r", "b1")]
    for (let round = 0; round < 10; round++) for (const { id } of this.publishers) this.say(id)
    // Publishers hear themselves and each other.
    for (const connection of this.history.connections.values()) this.hearAll(connection)
  }

  connect(id: string, life: string): Connection {
    const connection = this.history.connect(id, life, [feed], this.#now++)
    connection.enteredAt = this.#now++
    return connection
  }

  wait(millis: number): void {
    this.#now += millis
  }

  say(by: string, reached: Reached | undefined = "everyone"): void {
    this.history.publish(by, feed, this.#now++).reached = reached
  }

  hearAll(connection: Connection): void {
    const all = this.history.said.toSorted((a, b) => a.sentAt - b.sentAt)
    connection.heard.set(
      feed,
      all.map(({ by, seq }) => ({ by, seq }))
    )
  }

  /** Replaces what a connection has heard of one publisher between two messages, both included, by something else. */
  replace(connection: Connection, by: string, from: number, to: number, ...items: ReadonlyArray<Item>): void {
    const heard = connection.heard.get(feed)!
    const isOne = (item: Item) => "by" in item && item.by === by && item.seq >= from && item.seq <= to
    const place = heard.findIndex(isOne)
    const rest = heard.filter((item) => !isOne(item))
    connection.heard.set(feed, [...rest.slice(0, place), ...items, ...rest.slice(place)])
  }

  end(life: string): void {
    this.history.lives.get(life)!.endedAt = this.#now++
  }

  get found(): ReadonlyArray<readonly [connection: string, kind: Kind]> {
    return check(this.history).map(({ connection, kind }) => [connection, kind] as const)
  }
}

const planted: ReadonlyArray<{
  readonly name: string
  readonly plant: (story: Story) => void
  readonly found: ReadonlyArray<readonly [connection: string, kind: Kind]>
}> = [
  { name: "nothing in a history in which all was heard", plant: () => {}, found: [] },
  {
    name: "two messages of a publisher in the other order",
    plant: (story) => story.replace(story.far, "p", 4, 5, { by: "p", seq: 5 }, { by: "p", seq: 4 }),
    // Where the earlier one belongs it is missing.
    found: [
      ["far", "order"],
      ["far", "missing"]
    ]
  },
  {
    name: "a message that comes twice",
    plant: (story) => story.replace(story.far, "p", 4, 4, { by: "p", seq: 4 }, { by: "p", seq: 4 }),
    found: [["far", "duplicate"]]
  },
  {
    name: "a message that comes twice, the second time much later",
    plant: ({ far }) => far.heard.get(feed)!.push({ by: "p", seq: 1 }),
    found: [["far", "duplicate"]]
  },
  {
    name: "a message nobody has said",
    plant: ({ far }) => far.heard.get(feed)!.push({ by: "p", seq: 11 }),
    found: [["far", "foreign"]]
  },
  {
    name: "a message of a feed the connection is not in",
    plant: ({ far, history }) => {
      history.publish("p", "line/blue", 1)
      far.heard.set("line/blue", [{ by: "p", seq: 1 }])
    },
    found: [["far", "foreign"]]
  },
  {
    name: "a hole nobody tells of",
    plant: (story) => story.replace(story.far, "p", 4, 6),
    found: [["far", "missing"]]
  },
  {
    name: "a hole on a connection that has ended",
    plant: (story) => {
      story.far.closedAt = 1_000
      story.replace(story.far, "p", 4, 6)
    },
    found: [["far", "missing"]]
  },
  {
    name: "no hole that a gap in its place tells of exactly",
    plant: (story) => story.replace(story.far, "p", 4, 6, gap(3)),
    found: []
  },
  {
    name: "no hole that a gap in its place tells of without a number",
    plant: (story) => story.replace(story.far, "p", 4, 6, gap(0)),
    found: []
  },
  {
    name: "a hole in front of a gap",
    plant: (story) => {
      story.replace(story.far, "p", 4, 6)
      story.far.heard.get(feed)!.push(gap(3))
    },
    found: [["far", "missing"]]
  },
  {
    name: "a gap that tells of fewer than are missing in its place",
    plant: (story) => story.replace(story.far, "p", 4, 6, gap(2)),
    // In its place, and in all.
    found: [
      ["far", "too few"],
      ["far", "too few"]
    ]
  },
  {
    name: "gaps that would each do, and tell of fewer than are missing of two publishers",
    plant: (story) => {
      story.replace(story.far, "p", 4, 6)
      story.replace(story.far, "q", 4, 6, gap(3))
    },
    found: [["far", "too few"]]
  },
  {
    name: "a gap that tells of more than can be missing",
    plant: (story) => story.replace(story.far, "p", 4, 6, gap(4)),
    found: [["far", "too many"]]
  },
  {
    name: "a gap that tells of what was said long before the connection was there",
    plant: (story) => {
      story.wait(60_000)
      const late = story.connect("late", "b1")
      late.heard.set(feed, [gap(1)])
    },
    found: [["late", "too many"]]
  },
  {
    name: "no gap that tells of what was said a moment before the connection was there",
    plant: (story) => {
      story.wait(3_000)
      const late = story.connect("late", "b1")
      late.heard.set(feed, [gap(1)])
    },
    found: []
  },
  {
    name: "a gap where nothing is missing",
    plant: ({ far }) => far.heard.get(feed)!.push(gap(1)),
    found: [["far", "too many"]]
  },
  {
    name: "a message of a publisher on the same node, though a gap tells of it",
    plant: (story) => story.replace(story.near, "p", 4, 4, gap(0)),
    found: [["near", "local"]]
  },
  {
    name: "no message of the same node that a slow reader has lost",
    plant: (story) => story.replace(story.near, "p", 4, 4, gap(1, "slow")),
    found: []
  },
  {
    name: "an acknowledged last message that has not arrived",
    plant: (story) => story.replace(story.far, "p", 10, 10),
    found: [["far", "lost tail"]]
  },
  {
    name: "an acknowledged last message of a node that is gone",
    plant: (story) => {
      story.replace(story.far, "p", 10, 10)
      story.end("a1")
    },
    found: [["far", "lost tail"]]
  },
  {
    name: "all messages of a publisher that was never heard",
    plant: (story) => story.replace(story.far, "p", 1, 10),
    found: [["far", "lost tail"]]
  },
  {
    name: "no last message that a gap behind the others tells of",
    plant: (story) => {
      story.replace(story.far, "p", 10, 10)
      story.far.heard.get(feed)!.push(gap(1))
    },
    found: []
  },
  {
    name: "no last message of a connection that has ended",
    plant: (story) => {
      story.replace(story.far, "p", 10, 10)
      story.far.closedAt = 1_000
    },
    found: []
  },
  {
    name: "no last message that only a node had which is gone",
    plant: (story) => {
      story.say("p", "local-only")
      story.hearAll(story.near)
      story.end("a1")
    },
    found: [
      ["p", "local"],
      ["q", "local"]
    ]
  },
  {
    name: "a last message that only its node has, and did not tell of",
    plant: (story) => {
      story.say("p", "local-only")
      for (const connection of [story.near, ...story.publishers]) story.hearAll(connection)
      story.replace(story.publishers[2]!, "p", 11, 11, gap(1))
    },
    found: [["far", "lost tail"]]
  },
  {
    name: "no message before a connection was there",
    plant: (story) => void story.connect("late", "b1"),
    found: []
  },
  {
    name: "a message right after a connection was there",
    plant: (story) => {
      story.connect("late", "b1")
      story.say("p")
      for (const connection of [story.near, story.far, ...story.publishers]) story.hearAll(connection)
    },
    found: [["late", "lost tail"]]
  },
  {
    name: "no hole in what a node had not acknowledged when it died",
    plant: (story) => {
      story.history.find("p", feed, 4)!.reached = undefined
      story.replace(story.far, "p", 4, 4)
      story.end("a1")
    },
    found: []
  },
  {
    name: "a hole in what a node that lives has not acknowledged",
    plant: (story) => {
      story.history.find("p", feed, 4)!.reached = undefined
      story.replace(story.far, "p", 4, 4)
    },
    found: [["far", "missing"]]
  }
]

describe("the checker of the fault test", () => {
  for (const { found, name, plant } of planted) {
    it(`finds ${name}`, () => {
      const story = new Story()
      plant(story)
      assert.deepStrictEqual(story.found, found)
    })
  }
})
