import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as Heartbeat from "../../../src/websocket/internal/heartbeat.ts"

const limits: Heartbeat.HeartbeatLimits = {
  pingInterval: 20_000,
  pongTimeout: 10_000,
  helloTimeout: 5000,
  idleTimeout: Number.POSITIVE_INFINITY,
  closeTimeout: 5000,
  outboxTimeout: 10_000,
  inboxTimeout: 60_000
}
const look = 1000

const quiet: Heartbeat.Vitals = {
  bytesRead: 100,
  messages: 0,
  awaitsHello: false,
  bytesTaken: 0,
  unsent: false,
  inFlight: 0,
  paused: false,
  closing: false
}

interface Seen {
  readonly at: number
  readonly action: Heartbeat.Action
}

/** Looks once a second for `seconds`, and says what was to be done when. Nobody is looked at after an end. */
const watch = (seconds: number, vitalsAt: (now: number) => Heartbeat.Vitals, bounds = limits): ReadonlyArray<Seen> => {
  const seen: Array<Seen> = []
  let state = Heartbeat.initial(0)
  for (let now = 0; now <= seconds * 1000; now += look) {
    const [next, action] = Heartbeat.step(state, vitalsAt(now), now, bounds)
    state = next
    if (action === "none") continue
    seen.push({ at: now, action })
    if (action !== "ping") return seen
  }
  return seen
}

describe("heartbeat", () => {
  it("a silent peer is pinged after the ping interval and gone the pong timeout later", () => {
    assert.deepStrictEqual(
      watch(60, () => quiet),
      [
        { at: 20_000, action: "ping" },
        { at: 30_000, action: "noPong" }
      ]
    )
  })

  it("a peer that sends at least once per ping interval is never pinged", () => {
    const seen = watch(600, (now) => ({ ...quiet, bytesRead: 100 + Math.floor(now / 19_000) }))
    assert.deepStrictEqual(seen, [])
  })

  it("a byte after the ping is life, and the next ping waits for a new silence", () => {
    const seen = watch(64, (now) => ({ ...quiet, bytesRead: now < 29_000 ? 100 : 102 }))
    assert.deepStrictEqual(seen, [
      { at: 20_000, action: "ping" },
      { at: 49_000, action: "ping" },
      { at: 59_000, action: "noPong" }
    ])
  })

  it("a socket that is not read is not pinged and not given up, until the inbox timeout", () => {
    assert.deepStrictEqual(
      watch(120, () => ({ ...quiet, paused: true })),
      [{ at: 60_000, action: "inboxStalled" }]
    )
  })

  it("reading again starts the inbox timeout anew, and silence counts from there", () => {
    const seen = watch(200, (now) => ({ ...quiet, paused: now < 59_000 || (now >= 60_000 && now < 100_000) }))
    assert.deepStrictEqual(seen, [
      { at: 119_000, action: "ping" },
      { at: 129_000, action: "noPong" }
    ])
  })

  it("unsent bytes without progress are a slow consumer after the outbox timeout", () => {
    const seen = watch(60, (now) => ({ ...quiet, bytesRead: now, unsent: now >= 3000 }))
    assert.deepStrictEqual(seen, [{ at: 12_000, action: "slowConsumer" }])
  })

  it("a peer that takes a little within each outbox timeout is not cut", () => {
    const seen = watch(300, (now) => ({
      ...quiet,
      bytesRead: now,
      unsent: true,
      bytesTaken: Math.floor(now / 9000)
    }))
    assert.deepStrictEqual(seen, [])
  })

  it("a peer in the middle of one long write is not cut while any of it is taken", () => {
    const seen = watch(90, (now) => ({ ...quiet, unsent: true, inFlight: 1_000_000 - Math.floor(now / 9000) }))
    assert.deepStrictEqual(seen, [])
  })

  it("a peer that takes what waits for it is not pinged, and one that had not to wait is", () => {
    const waiting = watch(90, (now) => ({ ...quiet, unsent: true, bytesTaken: now }))
    assert.deepStrictEqual(waiting, [])
    const taken = watch(90, (now) => ({ ...quiet, bytesTaken: now }))
    assert.deepStrictEqual(taken, [
      { at: 20_000, action: "ping" },
      { at: 30_000, action: "noPong" }
    ])
  })

  it("control frames of the server that queue up are no progress of the peer", () => {
    // A ping or an automatic pong adds to what is unsent and was never counted as written.
    const seen = watch(60, (now) => ({
      ...quiet,
      bytesRead: now,
      unsent: true,
      bytesTaken: -2 * Math.floor(now / 9000)
    }))
    assert.deepStrictEqual(seen, [{ at: 10_000, action: "slowConsumer" }])
  })

  it("a connection that does not finish closing is terminated after the close timeout", () => {
    const seen = watch(60, (now) => ({ ...quiet, closing: now >= 7000 }))
    assert.deepStrictEqual(seen, [{ at: 12_000, action: "terminate" }])
  })

  it("a closing connection is neither pinged nor judged, whatever it does", () => {
    const closing = watch(60, (now) => ({ ...quiet, closing: now >= 9000, unsent: true, paused: true }))
    assert.deepStrictEqual(closing, [{ at: 14_000, action: "terminate" }])
  })

  it("SEC2: a client that has to speak first and does not has said so after the hello timeout, pongs or not", () => {
    const seen = watch(60, (now) => ({ ...quiet, awaitsHello: true, bytesRead: now }))
    assert.deepStrictEqual(seen, [{ at: 5000, action: "noHello" }])
  })

  it("SEC2: a client that has spoken in time, or need not, is not asked for more", () => {
    const spoken = watch(60, (now) => ({ ...quiet, awaitsHello: true, bytesRead: now, messages: now < 4000 ? 0 : 1 }))
    assert.deepStrictEqual(spoken, [])
    const silent = watch(60, (now) => ({ ...quiet, bytesRead: now }))
    assert.deepStrictEqual(silent, [])
  })

  const impatient = { ...limits, idleTimeout: 30_000 }

  it("a client without a message for the idle timeout is idle, however much it pongs", () => {
    const seen = watch(120, (now) => ({ ...quiet, bytesRead: now, messages: Math.floor(now / 29_000) }), impatient)
    assert.deepStrictEqual(seen, [])
    const idle = watch(120, (now) => ({ ...quiet, bytesRead: now, messages: now < 10_000 ? 0 : 1 }), impatient)
    assert.deepStrictEqual(idle, [{ at: 40_000, action: "idle" }])
  })

  it("a client whose messages are not read is not idle, and counts as such once they are", () => {
    const seen = watch(200, (now) => ({ ...quiet, bytesRead: now, paused: now < 50_000 }), impatient)
    assert.deepStrictEqual(seen, [{ at: 79_000, action: "idle" }])
  })

  it("a closing connection is neither idle nor late with its first message", () => {
    const vitals = { ...quiet, awaitsHello: true, closing: true }
    const seen = watch(60, () => vitals, { ...impatient, closeTimeout: 50_000 })
    assert.deepStrictEqual(seen, [{ at: 50_000, action: "terminate" }])
  })

  /** Waits between two signs of life. */
  const silences = Arbitrary.array(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 45_000 }))),
    {
      minLength: 1,
      maxLength: 12
    }
  )

  it.prop("no ping before the ping interval, and none is gone before or long after its time", [silences], ([waits]) => {
    const lives: Array<number> = []
    let last = 0
    for (const wait of waits) lives.push((last += wait))
    const lastLife = (now: number) => lives.filter((life) => life <= now).at(-1) ?? 0
    const seen = watch(last / 1000 + 60, (now) => ({
      ...quiet,
      bytesRead: 100 + lives.filter((life) => life <= now).length
    }))
    for (const { action, at } of seen) {
      const silence = at - lastLife(at)
      if (action === "ping") assert.isTrue(silence >= limits.pingInterval && silence <= limits.pingInterval + look)
      if (action === "noPong") {
        const patience = limits.pingInterval + limits.pongTimeout
        assert.isTrue(silence >= patience && silence <= patience + look, `gone after ${silence} ms of silence`)
      }
    }
    assert.strictEqual(seen.at(-1)?.action, "noPong")
  })
})
