import { assert, describe, it } from "@effect/vitest"
import { Ref } from "effect-rooms"
import { Limits } from "effect-rooms/websocket"
import { Admission, networkOf } from "../../../src/websocket/internal/admission.ts"

class User extends Ref.Entity<User>()("User") {}
const alice = User.ref`alice`
const bob = User.ref`bob`

const make = (limits: Partial<Limits.Limits>) => new Admission({ ...Limits.trusted, ...limits })

describe("admission", () => {
  it("SEC10: counts connections of the server, of an address and of a user, and gives back what has left", () => {
    const admission = make({ maxConnections: 4, maxConnectionsPerAddress: 3, maxConnectionsPerUser: 2 })
    admission.enter("10.0.0.1", alice, 0)
    const leave = admission.enter("10.0.0.1", alice, 0)
    assert.strictEqual(admission.excess("10.0.0.2", alice), "user")
    assert.strictEqual(admission.excess("10.0.0.1", bob), undefined)
    admission.enter("10.0.0.1", undefined, 0)
    assert.strictEqual(admission.excess("10.0.0.1", bob), "address")
    admission.enter("10.0.0.2", undefined, 0)
    assert.strictEqual(admission.excess("10.0.0.3", undefined), "server")
    leave()
    assert.deepStrictEqual(
      [admission.excess("10.0.0.3", alice), admission.excess("10.0.0.1", bob)],
      [undefined, undefined]
    )
  })

  it("SEC10: an address may ask at a rate after a burst, and others are not touched by that", () => {
    const admission = make({ upgradesPerSecond: 10, upgradeBurst: 2 })
    const asked = [1, 2, 3].map(() => admission.ask("10.0.0.1", 0))
    assert.deepStrictEqual(asked, [true, true, false])
    assert.isTrue(admission.ask("10.0.0.2", 0))
    assert.isTrue(admission.ask("10.0.0.1", 100))
  })

  it("SEC10: connecting and leaving gives back no upgrades", () => {
    const admission = make({ upgradesPerSecond: 10, upgradeBurst: 2 })
    for (let n = 0; n < 2; n++) {
      assert.isTrue(admission.ask("10.0.0.1", 0))
      admission.enter("10.0.0.1", undefined, 0)()
      admission.forget(0)
    }
    assert.isFalse(admission.ask("10.0.0.1", 0))
  })

  it("SEC11: a user who comes back has the rates they left with", () => {
    const admission = make({ messagesPerSecond: 10, messageBurst: 1, userRateFactor: 2 })
    const leave = admission.enter("10.0.0.1", alice, 0)
    const taken = [1, 2, 3].map(() => admission.ratesOf(alice, 0).take(1, 0))
    assert.deepStrictEqual(taken, [undefined, undefined, "messages"])
    leave()
    admission.forget(0)
    admission.enter("10.0.0.1", alice, 0)
    assert.strictEqual(admission.ratesOf(alice, 0).take(1, 0), "messages")
    assert.strictEqual(admission.ratesOf(bob, 0).take(1, 0), undefined)
  })

  it("remembers nobody who has left and rested", () => {
    const admission = new Admission(Limits.defaults)
    for (let n = 0; n < 1000; n++) {
      admission.ask(`10.0.0.${n}`, 0)
      admission.enter(`10.0.0.${n}`, User.ref.make(`user-${n}`), 0)()
    }
    admission.forget(10_000)
    assert.strictEqual(admission.size, 0)
  })

  it.each([
    ["2001:db8:1:2::1", "2001:db8:1:2"],
    ["2001:0DB8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2"],
    ["2001:db8::1:2:3:4", "2001:db8:0:0"],
    ["1::4:5:6:7:8", "1:0:0:4"],
    ["::1", "0:0:0:0"],
    ["fe80::1%eth0", "fe80:0:0:0"],
    ["64:ff9b::192.0.2.1", "64:ff9b:0:0"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["192.0.2.1", "192.0.2.1"],
    ["unknown", "unknown"]
  ])("takes %s for %s", (address, network) => {
    assert.strictEqual(networkOf(address), network)
  })

  it("keeps little of what a proxy says in place of an address", () => {
    assert.strictEqual(networkOf("x".repeat(10_000)).length, 64)
  })
})
