/**
 * The seats of a show: visitors reserve them by publishing, and give them back by leaving.
 */
import { Effect, Schema } from "effect"
import { Ref, RoomApi, Rooms } from "effect-rooms"

export class Show extends Ref.Entity<Show>()("Show") {}

export const ShowApi = RoomApi.make("show", {
  key: Show,
  events: {
    reserve: Schema.Int,
    reserved: Schema.Struct({ seat: Schema.Int, by: Schema.String }),
    freed: Schema.Int
  },
  member: Schema.Struct({ name: Schema.String })
})

export class Shows extends Rooms.Service<Shows>()("app/Shows", ShowApi, { capacity: 3 }) {}

/** A seat goes to the first visitor who asks for it and has fewer than `most`. */
export const boxOffice =
  (most: number): Rooms.Body<Show, typeof ShowApi.events, { readonly name: string }, never> =>
  (show) => {
    const holders = new Map<number, string>()
    const seatsOf = (id: string) => [...holders].flatMap(([seat, by]) => (by === id ? [seat] : []))
    return Effect.succeed({
      onMessage: Effect.fnUntraced(function* ({ member: { id }, message }) {
        if (message.event !== "reserve" || holders.has(message.data) || seatsOf(id).length >= most) return
        const members = yield* show.members
        if (!members.some((member) => member.id === id)) return
        holders.set(message.data, id)
        yield* show.broadcast("reserved", { seat: message.data, by: id })
      }),
      onLeave: Effect.fnUntraced(function* ({ id }) {
        for (const seat of seatsOf(id)) {
          holders.delete(seat)
          yield* show.broadcast("freed", seat)
        }
      })
    })
  }

export const ShowsLive = Shows.toLayer(boxOffice(2))
