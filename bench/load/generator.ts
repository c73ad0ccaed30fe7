/**
 * The generator's process: does what the runner asks over IPC, one request at a time.
 */
import { churn } from "./churn.ts"
import { Crowd } from "./crowd.ts"
import type { ReplyOf, Request } from "./messages.ts"
import { load } from "./publish.ts"
import { besiege, resume } from "./siege.ts"

let crowd: Crowd | undefined

const opened = (): Crowd => {
  if (crowd === undefined) throw new Error("nobody is connected")
  return crowd
}

const perform = async (request: Request): Promise<ReplyOf<Request>> => {
  switch (request.kind) {
    case "open":
      crowd = new Crowd(request)
      return crowd.open()
    case "load":
      return load(opened(), request)
    case "churn":
      return churn(opened(), request)
    case "stall":
      opened().stall(request.clients)
      return { stalled: request.clients }
    case "resume":
      return { ended: await resume(opened()) }
    case "siege":
      return besiege(opened(), request)
    case "close": {
      const closed = opened().clients.length
      opened().reset()
      crowd = undefined
      return { closed }
    }
  }
}

process.on("message", (request: Request) => {
  perform(request).then(
    (reply) => process.send!({ reply }),
    (error: unknown) => process.send!({ error: error instanceof Error ? error.stack : String(error) })
  )
})
process.on("disconnect", () => process.exit())
