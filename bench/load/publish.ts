/**
 * Publishing: a number of messages in flight in each room, or a number a second.
 */
import { micros } from "./client.ts"
import { startSpan } from "./cpu.ts"
import type { Crowd, CrowdRoom } from "./crowd.ts"
import { dialects, type Template } from "./dialects.ts"
import * as Frames from "./frames.ts"
import type { Load, Loaded } from "./messages.ts"

/** How long nothing may come before what is missing is lost. */
const patienceMillis = 5000

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** Messages of a room that have not reached everybody. */
const inFlight = (room: CrowdRoom): number => room.sent - Math.floor(room.received / (room.members.length - 1))

class Publisher {
  readonly #crowd: Crowd
  readonly #templates = new Map<CrowdRoom, Template>()
  sent = 0
  running = true

  constructor(crowd: Crowd, contentBytes: number) {
    this.#crowd = crowd
    const content = "x".repeat(contentBytes)
    for (const room of crowd.rooms) {
      this.#templates.set(room, dialects[crowd.options.dialect].publish(room.name, content))
    }
  }

  /** The members of a room take turns. */
  publish(room: CrowdRoom): void {
    const { head, tail } = this.#templates.get(room)!
    room.members[room.next]!.send(Frames.text(`${head}${micros()}${tail}`))
    room.next = (room.next + 1) % (this.#crowd.options.publishers ?? room.members.length)
    room.sent++
    this.sent++
  }

  /** Keeps so many messages in flight in each room: sends what there is room for after each turn of reading. */
  keepInFlight(count: number): void {
    const fill = (room: CrowdRoom) => {
      for (let credit = count - inFlight(room); credit > 0; credit--) this.publish(room)
    }
    for (const room of this.#crowd.rooms) fill(room)
    let scheduled = false
    this.#crowd.onMessages = () => {
      if (scheduled) return
      scheduled = true
      setImmediate(() => {
        scheduled = false
        const { touched } = this.#crowd
        this.#crowd.touched = []
        for (const room of touched) {
          room.touched = false
          if (this.running) fill(room)
        }
      })
    }
  }

  /** Sends so many messages a second in each room, whatever comes back. */
  async keepPace(perSecond: number): Promise<void> {
    const { rooms } = this.#crowd
    const startedAt = performance.now()
    let due = 0
    while (this.running) {
      const elapsed = (performance.now() - startedAt) / 1000
      // Rooms take turns, so that a second's messages are spread over the second.
      for (; due < elapsed * perSecond * rooms.length; due++) this.publish(rooms[due % rooms.length]!)
      await sleep(1)
    }
  }
}

/** Waits until everything has come, or nothing comes any more; answers how many deliveries are missing. */
const drain = async (crowd: Crowd): Promise<number> => {
  const missing = () =>
    crowd.rooms.reduce((sum, room) => sum + room.sent * (room.members.length - 1) - room.received, 0)
  let before = -1
  let quietSince = performance.now()
  while (missing() > 0 && performance.now() - quietSince < patienceMillis) {
    if (crowd.received !== before) {
      before = crowd.received
      quietSince = performance.now()
    }
    await sleep(10)
  }
  return missing()
}

export const load = async (crowd: Crowd, { contentBytes, millis, pace, warmUpMillis }: Load): Promise<Loaded> => {
  for (const room of crowd.rooms) {
    room.sent = 0
    room.received = 0
    room.touched = false
  }
  crowd.touched = []
  crowd.ended.length = 0
  crowd.sample("inFlight" in pace ? 8 : 1)
  const publisher = new Publisher(crowd, contentBytes)
  let pacing: Promise<void> | undefined
  if ("inFlight" in pace) publisher.keepInFlight(pace.inFlight)
  else pacing = publisher.keepPace(pace.perSecond)
  await sleep(warmUpMillis)

  crowd.latencies.clear()
  const span = startSpan(crowd.options.serverPid, crowd.options.morePids)
  const before = { sent: publisher.sent, received: crowd.received }
  await sleep(millis)
  const measured = span()
  const sent = publisher.sent - before.sent
  const delivered = crowd.received - before.received
  const latency = crowd.latencies.percentiles()

  publisher.running = false
  await pacing
  const lost = await drain(crowd)
  crowd.onMessages = () => {}
  return { ...measured, sent, delivered, latency, lost, ended: crowd.ended.splice(0) }
}
