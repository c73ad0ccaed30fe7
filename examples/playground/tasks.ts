/**
 * The tasks of the kanban, in memory.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Ref } from "effect-rooms"

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

export class Tasks extends Context.Service<
  Tasks,
  {
    readonly of: (board: Ref.Ref<Board>) => Effect.Effect<ReadonlyArray<Task>>
    readonly create: (board: Ref.Ref<Board>, task: NewTask) => Effect.Effect<Task, TooManyTasks>
    readonly move: (id: string, listId: Task["listId"]) => Effect.Effect<Task, NoTask>
    readonly remove: (id: string) => Effect.Effect<Task, NoTask>
  }
>()("playground/Tasks") {
  static readonly layer = Layer.sync(Tasks, () => {
    const tasks = new Map<string, Task>()
    let created = 0
    const find = (id: string) =>
      Effect.suspend(() => {
        const task = tasks.get(id)
        return task === undefined ? Effect.fail(new NoTask()) : Effect.succeed(task)
      })
    return Tasks.of({
      of: (board) =>
        Effect.sync(() => Array.from(tasks.values()).filter((task) => task.boardId.identifier === board.identifier)),
      create: (boardId, { listId, title }) =>
        Effect.suspend(() => {
          if (tasks.size >= mostTasks) return Effect.fail(new TooManyTasks())
          const task = { id: `task-${++created}`, title, listId, boardId }
          tasks.set(task.id, task)
          return Effect.succeed(task)
        }),
      move: (id, listId) =>
        Effect.map(find(id), (task) => {
          const moved = { ...task, listId }
          tasks.set(id, moved)
          return moved
        }),
      remove: (id) => Effect.tap(find(id), () => Effect.sync(() => tasks.delete(id)))
    })
  })
}
