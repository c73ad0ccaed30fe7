/**
 * What is asked of the node that owns a device: it alone can change it. A letter arrives at most once, and nobody answers.
 */
import * as Schema from "effect/Schema"
import { Status } from "../PresenceSchema.ts"
import type { Edit } from "../PresenceState.ts"
import { DeviceName, type Kinds } from "./told.ts"

/** Changes what is given of a device, and is a sign of life of it. */
interface Update {
  readonly do: "update"
  readonly room: string
  readonly user: string
  readonly device: string
  readonly status?: typeof Status.Type | undefined
  readonly meta?: Schema.Json | undefined
}

/** Removes a device of a user, or all the node owns. */
interface Remove {
  readonly do: "remove"
  readonly room: string
  readonly user: string
  readonly device?: string | undefined
}

export type Letter = Update | Remove

/** Asks to change what is given of a device. */
export const update = <M>(
  where: { readonly room: string; readonly user: string; readonly device: string },
  { meta, status }: Edit<M>
): Letter => ({ do: "update", ...where, status, meta: meta && (JSON.parse(meta.text) as Schema.Json) })

/** A letter as JSON, without what is left out. */
export const toJson = (letter: Letter): Schema.Json =>
  Object.fromEntries(Object.entries(letter).filter(([, value]) => value !== undefined))

/** The schema of letters that come in. */
export const letterSchema = <E, U, M>({ meta, room, user }: Kinds<E, U, M>) => {
  const where = { room: room.ref.schema, user: user.ref.schema }
  return Schema.Union([
    Schema.Struct({
      do: Schema.Literal("update"),
      ...where,
      device: DeviceName,
      status: Schema.optionalKey(Status),
      meta: Schema.optionalKey(Schema.toCodecJson(meta))
    }),
    Schema.Struct({ do: Schema.Literal("remove"), ...where, device: Schema.optionalKey(DeviceName) })
  ])
}
