/**
 * Generated commands against a pure model of one channel (T-MODEL): after every command all observables are equal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Ref, Subscription } from "effect-rooms"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { capacity, ChannelModel, Command, keyOf, keys, type Shown } from "../support/ChannelModel.ts"
import { brief, type Item, Room, takeNow } from "../support/channels.ts"

const receiver: Subscription.Receiver = { id: "receiver" }
const mostReaders = 5

type Chat = Channels.Channels<Room, number>
type Sub = Subscription.Subscription<number, Subscription.SlowConsumer>

/** The channel under test, driven with the same words as the model. */
class System {
  readonly readers: Array<Sub> = []
  readonly #channel: Chat

  constructor(channel: Chat) {
    this.#channel = channel
  }

  #except(except: number | string): ReadonlyArray<Subscription.Receiver> {
    if (except === "receiver") return [receiver]
    if (except === "nobody") return [{ id: "nobody" }]
    const reader = typeof except === "number" ? this.readers[except] : undefined
    return reader === undefined ? [] : [reader]
  }

  publish(ref: Ref.Ref<Room>, message: number, except: number | string): number {
    const ack = Effect.runSync(this.#channel.publishAck(ref, message, { except: this.#except(except) }))
    assert.strictEqual(ack.epoch, this.#channel.epoch)
    return ack.roomSeq
  }

  deliverRemote(ref: Ref.Ref<Room>, message: number, except: number | string): void {
    const ids = this.#except(except).map(({ id }) => id)
    Effect.runSync(this.#channel.deliverRemote(ref, message, { id: `remote-${message}`, except: ids }))
  }

  subscribe(ref: Ref.Ref<Room>, policy: string, replay: number, owned: boolean): void {
    const overflow = (policy === "latestBy" ? { latestBy: keyOf } : policy) as Subscription.Overflow<number>
    const opening = this.#channel.open(ref, { overflow, replay }) as Effect.Effect<Sub>
    const owner = owned ? receiver : undefined
    this.readers.push(Effect.runSync(Effect.provideService(opening, Subscription.CurrentReceiver, owner)))
  }

  read(number: number, count: number, view: "plain" | "envelopes"): ReadonlyArray<Shown> {
    const reader = this.readers[number]!
    const shown: Array<Shown> = []
    while (shown.length < count) {
      const exit = takeNow<number | Item<number>, Subscription.SlowConsumer>(
        view === "plain" ? reader : reader.envelopes
      )
      if (exit === undefined) return [...shown, "nothing"]
      if (Exit.isFailure(exit)) {
        const failure = Cause.squash(exit.cause)
        const slow = failure instanceof Subscription.SlowConsumer
        return [...shown, slow ? `SlowConsumer ${failure.missed}` : Cause.isDone(failure) ? "end" : String(failure)]
      }
      shown.push(typeof exit.value === "number" ? `${exit.value}` : brief(exit.value))
    }
    return shown
  }

  observe(): string {
    const count = (key: string) => Effect.runSync(this.#channel.subscriberCount(Room.ref.make(key)))
    const readers = this.readers.map((reader, n) => `s${n} pending ${reader.pending} dropped ${reader.dropped}`)
    const size = Effect.runSync(this.#channel.size)
    return [...keys.map((key) => `${key} ${count(key)}`), `size ${size}`, ...readers].join(", ")
  }
}

const describeCommand = ({ _tag, ...fields }: Command): string => `${_tag} ${JSON.stringify(fields)}`

const check = (replay: number) =>
  Effect.fnUntraced(function* (input: { readonly commands: ReadonlyArray<Command>; readonly closeBefore: number }) {
    const scope = yield* Scope.make()
    const make = Channels.make({ key: Room, message: Schema.Int, capacity, replay })
    const system = new System(yield* Scope.provide(make, scope))
    const model = new ChannelModel(replay)
    let published = 0

    const run = (command: Command): void => {
      const ref = "key" in command ? Room.ref.make(command.key) : undefined!
      if ("slot" in command && command.slot >= model.readers.length) return
      switch (command._tag) {
        case "Publish":
        case "Burst":
          for (let n = 0; n < (command._tag === "Burst" ? command.count : 1); n++) {
            const seq = system.publish(ref, ++published, command.except)
            assert.strictEqual(seq, model.publish(command.key, published, command.except), "position of the publish")
          }
          return
        case "DeliverRemote":
          system.deliverRemote(ref, ++published, command.except)
          return void model.publish(command.key, published, command.except)
        case "Subscribe":
          if (model.readers.length === mostReaders) return
          system.subscribe(ref, command.overflow, command.replay, command.receiver)
          return model.subscribe(command.key, command.overflow, Math.min(command.replay, replay), command.receiver)
        case "Read": {
          const expected = model.read(command.slot, command.count, command.view)
          return assert.deepStrictEqual(system.read(command.slot, command.count, command.view), expected)
        }
        case "Unsubscribe":
          system.readers[command.slot]!.unsubscribe()
          return model.unsubscribe(command.slot)
      }
    }

    const done: Array<string> = []
    const step = (name: string, action: () => void): void => {
      done.push(name)
      try {
        action()
        assert.strictEqual(system.observe(), model.observe())
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error)
        throw new Error(`${problem}\nafter\n  ${done.join("\n  ")}`, { cause: error })
      }
    }

    for (const [index, command] of input.commands.entries()) {
      if (index === input.closeBefore) {
        yield* Scope.close(scope, Exit.void)
        step("CloseScope", () => model.close())
      }
      step(describeCommand(command), () => run(command))
    }
    yield* Scope.close(scope, Exit.void)
  })

const commands = Arbitrary.array(Arbitrary.schema(Command), { maxLength: 60 })
/** Closes the channel's scope before this command; in most runs never. */
const closeBefore = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 240 })))
const arbitrary = { runs: 1_000, size: 600, maxShrinks: 5_000, seed: "effect-rooms" }

describe("a channel behaves like its model", () => {
  for (const replay of [0, 2]) {
    it.effect.prop(`with a replay of ${replay}`, { commands, closeBefore }, check(replay), { arbitrary })
  }
})
