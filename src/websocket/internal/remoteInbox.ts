/**
 * Does what other nodes ask of the connections of this one. It comes at most once, and what cannot be done is counted.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Peers } from "../../internal/peers.ts"
import { ClusterRefused, RoomError } from "../../rooms/RoomError.ts"
import * as RoomKinds from "../../rooms/RoomKinds.ts"
import type { Directory, Entry } from "./directory.ts"
import type { RemoteAsks } from "./remoteAsks.ts"
import { deadline } from "./remoteAsks.ts"
import { decodeLetter, type Letter, type Outcome } from "./remoteLetters.ts"
import * as metrics from "./remoteMetrics.ts"

export interface RemoteInboxOptions {
  readonly peers: Peers
  readonly directory: Directory
  readonly asks: RemoteAsks
  readonly context: Context.Context<never>
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly answer: (node: string, number: number, outcome: Outcome) => void
}

type Of<Tag extends Letter["_tag"]> = Letter & { readonly _tag: Tag }

const refused = (detail: string): Effect.Effect<never, RoomError> =>
  Effect.fail(new RoomError({ reason: new ClusterRefused({ detail }) }))

/** Why a letter did nothing, where that is no matter of course: two versions of an application, as a rule. */
const sentences: Readonly<Record<string, string>> = {
  malformed: "another node says something about connections that is not understood",
  invalid: "a message of another node does not fit the route it is for",
  route: "another node writes to connections of a route that is not served here"
}

export class RemoteInbox {
  readonly #options: RemoteInboxOptions
  readonly #count: (reason: string) => void
  readonly #logged = new Set<string>()

  constructor(options: RemoteInboxOptions) {
    this.#options = options
    this.#count = metrics.countBy(metrics.lettersDropped, "reason", options.context)
  }

  /** Counts each, and logs the first of its reason. */
  #drop(reason: "gone" | "malformed" | "invalid" | "route"): void {
    this.#count(reason)
    const sentence = sentences[reason]
    if (sentence === undefined || this.#logged.has(reason)) return
    this.#logged.add(reason)
    Effect.runForkWith(this.#options.context)(Effect.logWarning(sentence))
  }

  /** A node tells of a connection in words that are not understood. */
  malformed(): void {
    this.#drop("malformed")
  }

  /** Takes a letter in the step in which it arrives. */
  receive(from: string, text: unknown): void {
    const decoded = decodeLetter(text)
    if (Exit.isFailure(decoded)) return this.#drop("malformed")
    const letter = decoded.value
    switch (letter._tag) {
      case "Send":
        return this.#send(letter)
      case "Broadcast":
        return this.#broadcast(letter)
      case "Close":
        return this.#close(letter)
      case "Join":
      case "Leave":
        return this.#move(from, letter)
      case "Answer":
        return this.#options.asks.answer(from, letter.number, letter.outcome)
    }
  }

  #send({ path, text, to }: Of<"Send">): void {
    const { directory } = this.#options
    const route = directory.routeAt(path)
    if (route === undefined) return this.#drop("route")
    if (route.decode(text) === undefined) return this.#drop("invalid")
    if (directory.control(to, { _tag: "Send", route: route.route, text }) === 0) this.#drop("gone")
  }

  #broadcast({ except, path, text }: Of<"Broadcast">): void {
    const route = this.#options.directory.routeAt(path)
    if (route === undefined) return this.#drop("route")
    const message = route.decode(text)
    if (message === undefined) this.#drop("invalid")
    else route.everybody.send(message.message, except, 0, text)
  }

  #close({ code, path, reason, to }: Of<"Close">): void {
    const { directory } = this.#options
    const isOther = path !== undefined && "connection" in to && this.#entry(path, to.connection) === undefined
    if (isOther || directory.control(to, { _tag: "Close", code, reason }) === 0) this.#drop("gone")
  }

  #entry(path: string, id: string): Entry | undefined {
    return this.#options.directory.routeAt(path)?.entries.get(id)
  }

  /** Lets a connection in or out, and answers; whoever asked waits no longer than this tries. */
  #move(from: string, letter: Of<"Join"> | Of<"Leave">): void {
    const { answer, fork, peers } = this.#options
    const entry = this.#entry(letter.path, letter.connection)
    if (entry === undefined) {
      this.#drop("gone")
      return answer(from, letter.number, "absent")
    }
    const kind = RoomKinds.find(peers, letter.kind)
    const moved =
      kind === undefined
        ? refused(`there are no rooms called ${letter.kind} on the node of the connection`)
        : letter._tag === "Leave"
          ? kind.leave(letter.room, { id: letter.connection })
          : Effect.as(
              kind.join(letter.room, letter.data, (room, data) => Effect.asVoid(entry.own.open(room, data))),
              true
            )
    const outcome = Effect.matchCauseEffect(moved, {
      onSuccess: (done) => Effect.succeed<Outcome>(done ? "done" : "absent"),
      onFailure: (cause) => {
        const error = cause.reasons.find((reason) => reason._tag === "Fail")?.error
        if (error !== undefined) return Effect.succeed<Outcome>(error)
        const detail = "it died on the node of the connection"
        const died = new RoomError({ reason: new ClusterRefused({ detail }) })
        return Effect.as(Effect.logError("a join another node asked for died", cause), died)
      }
    })
    fork(
      Effect.flatMap(Effect.timeoutOption(outcome, deadline), (answered) =>
        Effect.sync(() => {
          if (answered._tag === "Some") answer(from, letter.number, answered.value)
        })
      )
    )
  }
}
