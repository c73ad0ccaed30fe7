/**
 * Prices that every node keeps in memory: whoever changes one tells the others to forget it.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Channels, Ref } from "effect-rooms"

export class Catalog extends Ref.Entity<Catalog>()("Catalog") {}
export class Changed extends Channels.Service<Changed>()("shop/Changed", { key: Catalog, message: Schema.String }) {}

/** Where prices are kept for good; the same for all nodes. */
export class Store extends Context.Service<
  Store,
  {
    readonly get: (product: string) => Effect.Effect<number>
    readonly set: (product: string, price: number) => Effect.Effect<void>
  }
>()("shop/Store") {}

export class Prices extends Context.Service<
  Prices,
  {
    readonly of: (product: string) => Effect.Effect<number>
    readonly change: (product: string, price: number) => Effect.Effect<void>
  }
>()("shop/Prices") {}

export const all = Catalog.ref`all`

/** Forgets everything when it does not know what it was told. */
export const PricesLive = Layer.effect(
  Prices,
  Effect.gen(function* () {
    const store = yield* Store
    const changed = yield* Changed
    const known = new Map<string, number>()
    const changes = yield* changed.subscribe(all)
    const forget = changes.envelopes.runForEach((change) =>
      Effect.sync(() => {
        if (change._tag === "Gap") known.clear()
        else known.delete(change.message)
      })
    )
    yield* Effect.forkScoped(Effect.ignore(forget))
    return {
      of: Effect.fnUntraced(function* (product) {
        const price = known.get(product) ?? (yield* store.get(product))
        known.set(product, price)
        return price
      }),
      change: (product, price) => Effect.andThen(store.set(product, price), changed.publish(all, product))
    }
  })
).pipe(Layer.provideMerge(Changed.layer))
