/**
 * The subscriptions of a bus beside a broker that answers when it is told to, late or never, and refuses what it is told
 * to refuse. Checks after every command what has to hold always, and in the end what has to hold in quiet.
 */
import { assert } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { BusEvent } from "../../src/cluster/EventBusService.ts"
import {
  type Command as ToBroker,
  type Listener,
  maxBatch,
  Topics
} from "../../src/cluster/internal/bus/topicsState.ts"
import { refused } from "./fakeDriver.ts"

const topics = ["a", "b", "c"] as const
const Topic = Schema.Literals(topics)
const slot = Schema.Literals([0, 1, 2, 3])

/** What a listener does in the step in which it hears. */
const Habit = Schema.Literals(["listens", "listens", "leaves", "joins", "throws", "sends away"])

export const Command = Schema.TaggedUnion({
  Add: { topic: Topic, habit: Habit },
  Remove: { slot },
  GiveUp: { slot },
  /** Everything that may be said to the broker is said. */
  Flush: {},
  /** The broker answers one of the commands it has, of this connection or an earlier one. */
  Answer: { slot },
  /** What may be said is said, and the broker answers all it has been told over this connection. */
  Settle: {},
  Connect: {},
  Disconnect: {},
  Refuse: { topic: Topic },
  Allow: { topic: Topic },
  /** The time of the topics without listeners is over. */
  Release: {},
  Retry: {},
  Deliver: { topic: Topic }
})
export type Command = typeof Command.Type

const holds = (condition: boolean, what: string): void => {
  if (!condition) throw new Error(`does not hold: ${what}`)
}

interface Ear {
  readonly listener: Listener
  /** What it has to hear next, if anything: `live` hears messages, `deaf` the second gap. */
  hearing: "waiting" | "live" | "deaf" | "gone"
  heard: number
}

interface Connection {
  readonly live: Set<string>
  readonly commands: Array<ToBroker>
}

export class TopicsSystem {
  readonly #ears: Array<Ear> = []
  readonly #releases = new Set<() => void>()
  readonly #refuses = new Set<string>()
  readonly #earlier: Array<Connection> = []
  #connection: Connection | undefined
  readonly #topics = new Topics({
    onCommands: () => {},
    later: (release) => {
      this.#releases.add(release)
      return () => this.#releases.delete(release)
    },
    onThrow: () => {},
    onRefused: () => {},
    onKept: () => {}
  })

  run(command: Command): void {
    switch (command._tag) {
      case "Add":
        return this.#add(command.topic, command.habit)
      case "Remove":
        return this.#remove(this.#presentAt(command.slot))
      case "GiveUp": {
        const ear = this.#presentAt(command.slot)
        return ear === undefined ? undefined : this.#topics.giveUp(ear.listener)
      }
      case "Flush":
        return this.#flush()
      case "Answer":
        return this.#answer(command.slot)
      case "Settle":
        return this.#settle()
      case "Connect":
        return this.#connect()
      case "Disconnect":
        if (this.#connection === undefined) return
        this.#earlier.push(this.#connection)
        this.#connection = undefined
        return this.#topics.disconnect()
      case "Refuse":
        return void this.#refuses.add(command.topic)
      case "Allow":
        return void this.#refuses.delete(command.topic)
      case "Release":
        for (const release of Array.from(this.#releases)) {
          this.#releases.delete(release)
          release()
        }
        return
      case "Retry":
        return this.#topics.retry()
      case "Deliver":
        if (this.#connection?.live.has(command.topic) === true) this.#topics.deliver(command.topic, "message")
    }
  }

  /** What holds always. */
  check(): void {
    const commands = this.#connection?.commands ?? []
    const busy = commands.flatMap(({ topics: each }) => each.map(({ name }) => name))
    holds(new Set(busy).size === busy.length, "there are no two commands about one topic")
    holds(commands.length <= 8, "there are eight commands under way at most")
    const wanted = topics.filter((topic) => this.#present(topic).length > 0)
    if (this.#connection === undefined) holds(this.#topics.size === wanted.length, "nothing else is kept for later")
    for (const { hearing, listener } of this.#ears) {
      holds(listener.hearing === hearing, "what a listener was told is how it stands")
      if (hearing === "live")
        holds(this.#connection?.live.has(listener.topic.name) === true, "who is live is subscribed")
      if (hearing === "waiting") holds(this.#connection !== undefined, "nobody waits without a connection")
    }
  }

  /** What holds once the broker allows everything and has answered everything, and enough time has passed. */
  checkQuiet(): void {
    this.#refuses.clear()
    this.#connect()
    for (let round = 0; round < 12; round++) {
      this.#settle()
      this.#topics.retry()
      this.run({ _tag: "Release" })
      this.check()
    }
    const wanted = topics.filter((topic) => this.#present(topic).length > 0)
    assert.deepStrictEqual(Array.from(this.#connection!.live).toSorted(), wanted)
    assert.strictEqual(this.#topics.size, wanted.length)
    for (const topic of topics) {
      const present = this.#present(topic)
      const before = present.map(({ heard }) => heard)
      for (const { hearing } of present) assert.strictEqual(hearing, "live", `a listener of ${topic}`)
      this.run({ _tag: "Deliver", topic })
      assert.deepStrictEqual(
        present.map(({ heard }, index) => heard - before[index]!),
        present.map(() => 1)
      )
    }
  }

  #presentAt(number: number): Ear | undefined {
    return this.#ears.filter(({ hearing }) => hearing !== "gone")[number]
  }

  #present(topic: string): ReadonlyArray<Ear> {
    return this.#ears.filter(({ hearing, listener }) => listener.topic.name === topic && hearing !== "gone")
  }

  #add(topic: string, habit: typeof Habit.Type): void {
    if (this.#presentAt(5) !== undefined) return
    // What it is told may come before there is a listener to speak of.
    const ear = { listener: undefined! as Listener, hearing: "waiting" as Ear["hearing"], heard: 0 }
    const settle = (refusal: unknown) => {
      assert.include(["waiting", "deaf", "gone"], ear.hearing, "settled once")
      if (refusal !== undefined) ear.hearing = "gone"
      else if (ear.hearing === "waiting") ear.hearing = "live"
    }
    const onEvent = (event: BusEvent) => {
      if (event._tag === "Message") {
        assert.strictEqual(ear.hearing, "live", "messages come to those who hear")
        ear.heard++
      } else if (event.reason === "unreachable") {
        assert.include(["waiting", "live"], ear.hearing, "the first gap comes once")
        ear.hearing = "deaf"
      } else {
        assert.strictEqual(ear.hearing, "deaf", "the second gap comes after the first")
        ear.hearing = "live"
      }
      if (event._tag === "Message") return
      if (habit === "leaves" && ear.listener !== undefined) this.#remove(ear)
      if (habit === "sends away") this.#present(topic).forEach((other) => other !== ear && this.#remove(other))
      if (habit === "joins") this.#add(topic, "listens")
      if (habit === "throws") throw new Error("a bug")
    }
    const added = this.#topics.add(topic, onEvent, settle)
    ear.listener = added
    this.#ears.push(ear)
  }

  #remove(ear: Ear | undefined): void {
    if (ear === undefined) return
    const { hearing } = ear
    ear.hearing = "gone"
    if (hearing !== "gone") this.#topics.remove(ear.listener)
  }

  #connect(): void {
    if (this.#connection !== undefined) return
    this.#connection = { live: new Set(), commands: [] }
    this.#topics.connect()
  }

  #flush(): void {
    for (let command = this.#topics.next(); command !== undefined; command = this.#topics.next()) {
      assert.isAtMost(command.topics.length, maxBatch)
      this.#connection!.commands.push(command)
    }
  }

  #answer(number: number): void {
    const connections = [...(this.#connection === undefined ? [] : [this.#connection]), ...this.#earlier]
    const waiting = connections.flatMap((connection) => connection.commands.map((command) => ({ connection, command })))
    const picked = waiting[number]
    if (picked === undefined) return
    const { command, connection } = picked
    connection.commands.splice(connection.commands.indexOf(command), 1)
    const names = command.topics.map(({ name }) => name)
    if (names.some((name) => this.#refuses.has(name))) return this.#topics.refused(command, refused)
    for (const name of names) {
      if (command.verb === "subscribe") connection.live.add(name)
      else connection.live.delete(name)
    }
    this.#topics.done(command)
  }

  #settle(): void {
    this.#flush()
    while ((this.#connection?.commands.length ?? 0) > 0) this.#answer(0)
  }
}
