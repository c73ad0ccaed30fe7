/**
 * The tasks of the kanban, in the memory of every node: a node tells the others what it changes, and asks for everything
 * when it starts. A real application has a database for that.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Ref } from "effect-rooms"
import { Cluster, EventBus } from "effect-rooms/cluster"

export class Board extends Ref.Entity<Board>()("Board") {}

export const ListId = Schema.Literals(["list-todo", "list-doing", "list-done"])

export const Task = Schema.Struct({
  id: Schema.String,
  title: Schema.String,
  listId: ListId,
  boardId: Board.ref.schema
})
export type Task = typeof Task.Type

export const NewTask = Schema.Struct({
  title: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)),
  listId: ListId
})
export type NewTask = typeof NewTask.Type

/** More tasks are refused: this is a playground. */
const mostTasks = 1000

export class NoTask extends Schema.TaggedError<NoTask>()("NoTask", {}) {
  override get message(): string {
    return "no such task"
  }
}

export class TooManyTasks extends Schema.TaggedError<TooManyTasks>()("TooManyTasks", {}) {
  override get message(): string {
    return "too many tasks"
  }
}

/** What nodes tell each other: a task as it is now, that one is gone, and that somebody wants to know all. */
const topics = { "task.is": Task, "task.gone": Schema.String, "tasks.wanted": Schema.String }

export class Tasks extends Context.Service<
  Tasks,
  {
    readonly of: (board: Ref.Ref<Board>) => Effect.Effect<ReadonlyArray<Task>>
    readonly create: (board: Ref.Ref<Board>, task: NewTask) => Effect.Effect<Task, TooManyTasks>
    readonly move: (id: string, listId: Task["listId"]) => Effect.Effect<Task, NoTask>
    readonly remove: (id: string) => Effect.Effect<Task, NoTask>
  }
>()("playground/Tasks") {
  static readonly layer = Layer.effect(
    Tasks,
    Effect.gen(function* () {
      const tasks = new Map<string, Task>()
      const { name, nodes } = yield* Cluster.Cluster
      const bus = yield* EventBus.make(topics, { prefix: "playground-tasks:" })
      let created = 0

      const find = (id: string) =>
        Effect.suspend(() => {
          const task = tasks.get(id)
          return task === undefined ? Effect.fail(new NoTask()) : Effect.succeed(task)
        })
      /** The others are told, and if they cannot be told now, so be it. */
      const put = (task: Task) =>
        Effect.ignore(
          Effect.andThen(
            Effect.sync(() => tasks.set(task.id, task)),
            bus.emit("task.is", task)
          )
        )

      const heard = yield* bus.on("task.is")
      const gone = yield* bus.on("task.gone")
      const wanted = yield* bus.on("tasks.wanted")
      yield* Effect.forkScoped(
        heard.runForEach((task) => Effect.sync(() => tasks.size < mostTasks && tasks.set(task.id, task)))
      )
      yield* Effect.forkScoped(gone.runForEach((id) => Effect.sync(() => tasks.delete(id))))
      yield* Effect.forkScoped(
        wanted.runForEach(() => Effect.forEach(Array.from(tasks.values()), put, { discard: true }))
      )
      yield* Effect.ignore(bus.emit("tasks.wanted", name))

      return Tasks.of({
        of: (board) =>
          Effect.sync(() => Array.from(tasks.values()).filter((task) => task.boardId.identifier === board.identifier)),
        create: (boardId, { listId, title }) =>
          Effect.gen(function* () {
            if (tasks.size >= mostTasks) return yield* new TooManyTasks()
            const number = ++created
            // Two nodes must not give one id.
            const id = (yield* nodes).length === 1 ? `task-${number}` : `task-${name}-${number}`
            const task = { id, title, listId, boardId }
            yield* put(task)
            return task
          }),
        move: (id, listId) =>
          Effect.flatMap(find(id), (task) => {
            const moved = { ...task, listId }
            return Effect.as(put(moved), moved)
          }),
        remove: (id) =>
          Effect.tap(find(id), () =>
            Effect.andThen(
              Effect.sync(() => tasks.delete(id)),
              Effect.ignore(bus.emit("task.gone", id))
            )
          )
      })
    })
  )
}
