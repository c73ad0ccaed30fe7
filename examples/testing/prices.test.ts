/**
 * Whatever happens between the nodes: once they have come to rest, all of them know the prices as they are.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Cluster } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import { Prices, PricesLive, Store } from "./prices.ts"

const products = ["apples", "pears"]

/** A store that is the same map for all nodes. */
const storeIn = (prices: Map<string, number>) =>
  Layer.succeed(Store, {
    get: (product) => Effect.sync(() => prices.get(product) ?? 0),
    set: (product, price) => Effect.sync(() => void prices.set(product, price))
  })

const one = (draw: () => number) => products[Math.floor(draw() * products.length)]!

export const checkPrices = (live: typeof PricesLive, options?: TestCluster.CheckOptions) =>
  TestCluster.check(
    {
      state: () => new Map<string, number>(),
      layer: (node, store) =>
        live.pipe(Layer.provide(storeIn(store)), Layer.provideMerge(Cluster.layer({ namespace: "shop", node }))),
      // A node that ends takes with it what it has not got out.
      faults: ["split", "cut", "noise", "slow", "stall", "outage", "disconnect", "freeze"],
      acts: {
        change: (draw) => {
          const [product, price] = [one(draw), Math.floor(draw() * 100)]
          return {
            shown: { product, price },
            run: () => Effect.flatMap(Prices, (prices) => prices.change(product, price))
          }
        },
        ask: (draw) => {
          const product = one(draw)
          return { shown: product, run: () => Effect.flatMap(Prices, (prices) => prices.of(product)) }
        }
      },
      weights: { ask: 3 },
      atRest: ({ cluster, state }) =>
        Effect.gen(function* () {
          for (const node of cluster.nodes) {
            for (const product of products) {
              const price = yield* node.run(Effect.flatMap(Prices, (prices) => prices.of(product)))
              assert.strictEqual(price, state.get(product) ?? 0, `${product} on node ${node.name}`)
            }
          }
        })
    },
    options
  )

it.effect("all nodes know the prices as they are", () => checkPrices(PricesLive))
