/**
 * The kanban: who looks at a board and what happens on it, over WebSockets, HTTP and Server-Sent Events.
 */
import { Effect, Exit, Layer, Predicate, Schema, Scope, Stream } from "effect"
import { type HttpServerError, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { type Ref, RoomApi, Rooms } from "effect-rooms"
import { EventSource, WebSocketRoute } from "effect-rooms/websocket"
import { sameOrigin } from "./origin.ts"
import { page } from "./pages.ts"
import { attend, BoardPresence, PresenceList } from "./presence.ts"
import { lost, Status, Username } from "./protocol.ts"
import { Board, ListId, NewTask, Task, Tasks } from "./tasks.ts"

const BoardApi = RoomApi.make("board", {
  key: Board,
  events: {
    task_created: Schema.Struct({ task: Task }),
    task_moved: Schema.Struct({ task: Task }),
    task_deleted: Schema.Struct({ taskId: Schema.String }),
    user_joined: Schema.Struct({ viewers: Schema.Int }),
    user_left: Schema.Struct({ viewers: Schema.Int })
  },
  member: Schema.Struct({})
})
type BoardEvent = RoomApi.RoomEvent<typeof BoardApi.events>

export class Boards extends Rooms.Service<Boards>()("playground/Boards", BoardApi) {}

/** Field of most messages. */
const onBoard = { boardId: Board.ref.schema }

const Incoming = Schema.Union([
  Schema.Struct({ type: Schema.Literal("join"), ...onBoard, username: Schema.optionalKey(Username) }),
  Schema.Struct({ type: Schema.Literal("leave"), ...onBoard }),
  Schema.Struct({ type: Schema.Literal("status"), ...onBoard, status: Status }),
  Schema.Struct({ type: Schema.Literal("ping") }),
  Schema.Struct({ type: Schema.Literal("create"), ...onBoard, ...NewTask.fields }),
  Schema.Struct({ type: Schema.Literal("move"), ...onBoard, taskId: Schema.String, listId: ListId })
])
type Incoming = typeof Incoming.Type

const { task_created, task_deleted, user_joined } = BoardApi.events

/** An event of a board as clients see it: its name is the type, its fields stand beside it. */
const Event = Schema.Union([
  Schema.Struct({ type: Schema.Literals(["task_created", "task_moved"]), ...task_created.fields }),
  Schema.Struct({ type: Schema.Literal("task_deleted"), ...task_deleted.fields }),
  Schema.Struct({ type: Schema.Literals(["user_joined", "user_left"]), ...user_joined.fields })
])
const Outgoing = Schema.Union([
  Event,
  Schema.Struct({ type: Schema.Literal("joined"), ...onBoard, viewers: Schema.Int }),
  PresenceList,
  /** To who reads too slowly, where events of a board were lost. */
  Schema.Struct({ type: Schema.Literal("gap"), boardId: Schema.String, ...lost }),
  Schema.Struct({ type: Schema.Literal("pong") }),
  Schema.Struct({ error: Schema.String })
])
type Outgoing = typeof Outgoing.Type

const toEvent = ({ data, event }: BoardEvent) => ({ type: event, ...data }) as typeof Event.Type

const known: ReadonlyArray<string> = ["join", "leave", "status", "ping", "create", "move"]

/** Says what is wrong in the words a reader of the tutorial expects. */
const invalidReply = ({ input, message }: WebSocketRoute.InvalidMessage) => {
  if (!Predicate.isObject(input)) return { error: "Invalid message" }
  if (!Predicate.isString(input["type"]) || !known.includes(input["type"])) {
    return { error: `Unknown type: ${String(input["type"]).slice(0, 50)}` }
  }
  return { error: input["boardId"] === undefined && input["type"] !== "ping" ? "boardId is required" : message }
}

type Session = WebSocketRoute.Session<Incoming, Outgoing, unknown, unknown, unknown>

/**
 * Looks at a board until the scope closes: a member of its room, whose events go to the client; with a name, present as
 * well. Answers with the way to change one's status.
 */
const look = Effect.fnUntraced(function* (
  board: Ref.Ref<Board>,
  username: string | undefined,
  { connection, join, send }: Session
) {
  const room = (yield* Boards).get(board)
  // First what can be refused, such as the twenty-first window of one name: a client that gets an error has not joined.
  const setStatus = username === undefined ? undefined : yield* attend(board, connection.id, username, send)
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(room.count, ({ members }) => room.broadcast("user_left", { viewers: members }))
  )
  yield* join(room, {}, toEvent)
  const { members: viewers } = yield* room.count
  send({ type: "joined", boardId: board, viewers })
  yield* room.broadcast("user_joined", { viewers }, { except: connection })
  return setStatus
})

const handle = Effect.fnUntraced(function* (session: Session) {
  const { connection, messages, send } = session
  const boards = yield* Boards
  const tasks = yield* Tasks
  const own = yield* Effect.scope
  /** The boards this connection looks at: each has a scope, and all of them end with the connection's. */
  const looking = new Map<string, { scope: Scope.Closeable; setStatus: Effect.Success<ReturnType<typeof look>> }>()

  const join = Effect.fnUntraced(function* (board: Ref.Ref<Board>, username: string | undefined) {
    if (looking.has(board.identifier)) {
      return send({ type: "joined", boardId: board, viewers: (yield* boards.get(board).count).members })
    }
    const scope = yield* Scope.fork(own)
    const looked = Scope.provide(look(board, username, session), scope)
    const setStatus = yield* Effect.onError(looked, (cause) => Scope.close(scope, Exit.failCause(cause)))
    return looking.set(board.identifier, { scope, setStatus })
  })

  const leave = Effect.fnUntraced(function* (board: Ref.Ref<Board>) {
    const looked = looking.get(board.identifier)
    looking.delete(board.identifier)
    if (looked !== undefined) yield* Scope.close(looked.scope, Exit.void)
  })

  const tellOthers = (event: "task_created" | "task_moved", task: Task) =>
    boards.get(task.boardId).broadcast(event, { task }, { except: connection })

  const answer = Effect.fnUntraced(
    function* (message: Incoming) {
      switch (message.type) {
        case "ping":
          return send({ type: "pong" })
        case "join":
          return yield* join(message.boardId, message.username?.trim() || undefined)
        case "status":
          return yield* looking.get(message.boardId.identifier)?.setStatus?.(message.status) ?? Effect.void
        case "leave":
          return yield* leave(message.boardId)
        case "create":
          return yield* tellOthers("task_created", yield* tasks.create(message.boardId, message))
        case "move":
          return yield* tellOthers("task_moved", yield* tasks.move(message.taskId, message.listId))
      }
    },
    Effect.catch((error) => Effect.sync(() => send({ error: error.message })))
  )
  yield* Stream.runForEach(messages.stream, answer)
})

/** Who reads too slowly loses the oldest events of a board, and is told so. */
const overflow: WebSocketRoute.OutboxOverflow<Outgoing> = {
  policy: "dropOldest",
  gap: ({ room, ...loss }) => ({ type: "gap", boardId: room, ...loss })
}
const options = { incoming: Incoming, outgoing: Outgoing, invalidReply, overflow }

/** The tutorial's address, which is the chat page's as well, and one with a name. */
const RootSocket = WebSocketRoute.layer(WebSocketRoute.make("/", options), handle, { otherwise: page("chat.html") })
const BoardsSocket = WebSocketRoute.layer(WebSocketRoute.make("/boards", options), handle)

const json = (body: unknown, status = 200) => HttpServerResponse.jsonUnsafe(body, { status })
const notFound = () => Effect.succeed(json({ error: "no such task" }, 404))
const badRequest = (error: Schema.SchemaError | HttpServerError.HttpServerError) =>
  Effect.succeed(json({ error: Schema.isSchemaError(error) ? error.message : "the body is not JSON" }, 400))

const encodeTask = Schema.encodeUnknownSync(Schema.toCodecJson(Task))
const firstBoard = Board.ref`board-1`

const createTask = Effect.gen(function* () {
  const { boardId = firstBoard, ...input } = yield* HttpServerRequest.schemaBodyJson(
    Schema.Struct({ ...NewTask.fields, boardId: Schema.optionalKey(Board.ref.schema) })
  )
  const task = yield* (yield* Tasks).create(boardId, input)
  yield* (yield* Boards).get(boardId).broadcast("task_created", { task })
  return json(encodeTask(task), 201)
}).pipe(
  Effect.catchTag("TooManyTasks", () => Effect.succeed(json({ error: "too many tasks" }, 409))),
  Effect.catch(badRequest)
)

const taskId = HttpRouter.schemaPathParams(Schema.Struct({ id: Schema.String }))

const moveTask = Effect.gen(function* () {
  const { listId } = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ listId: ListId }))
  const task = yield* (yield* Tasks).move((yield* taskId).id, listId)
  yield* (yield* Boards).get(task.boardId).broadcast("task_moved", { task })
  return json(encodeTask(task))
}).pipe(Effect.catchTag("NoTask", notFound), Effect.catch(badRequest))

const deleteTask = Effect.gen(function* () {
  const task = yield* (yield* Tasks).remove((yield* taskId).id)
  yield* (yield* Boards).get(task.boardId).broadcast("task_deleted", { taskId: task.id })
  return HttpServerResponse.empty({ status: 204 })
}).pipe(Effect.catchTag("NoTask", notFound), Effect.catch(badRequest))

const board = Effect.map(
  HttpRouter.schemaPathParams(Schema.Struct({ boardId: Board.ref.schema })),
  ({ boardId }) => boardId
)

const listTasks = Effect.gen(function* () {
  const tasks = yield* (yield* Tasks).of(yield* board)
  return json({ tasks: tasks.map((task) => encodeTask(task)) })
}).pipe(Effect.catch(badRequest))

const encodeEvent = Schema.encodeUnknownSync(Schema.toCodecJson(Event))

const toServerSent = (event: BoardEvent) => ({ data: JSON.stringify(encodeEvent(toEvent(event))) })

/** The same events for those who only listen. */
const events = Effect.gen(function* () {
  return yield* EventSource.forward(yield* Boards, yield* board, { encode: toServerSent })
}).pipe(Effect.catch(badRequest))

/** The routes of the kanban. */
export const BoardRoutes = Layer.mergeAll(
  RootSocket,
  BoardsSocket,
  HttpRouter.add("POST", "/tasks", sameOrigin(createTask)),
  HttpRouter.add("PATCH", "/tasks/:id", sameOrigin(moveTask)),
  HttpRouter.add("DELETE", "/tasks/:id", sameOrigin(deleteTask)),
  HttpRouter.add("GET", "/boards/:boardId/tasks", listTasks),
  HttpRouter.add("GET", "/boards/:boardId/events", events)
)

/** What the routes' handlers need. */
export const BoardServices = Layer.mergeAll(Boards.layer, Tasks.layer, BoardPresence.layer)
