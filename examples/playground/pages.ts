/**
 * The pages of the playground, its health and its metrics. The chat page shares its path with a socket: see `board.ts`.
 */
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { fileURLToPath } from "node:url"

/** Answers with a page of the folder `pages`. */
export const page = (name: string) =>
  HttpServerResponse.file(fileURLToPath(new URL(`pages/${name}`, import.meta.url)), {
    contentType: "text/html; charset=utf-8",
    headers: {
      // The pages load nothing from elsewhere and are shown in no frame.
      "content-security-policy":
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff"
    }
  }).pipe(Effect.orDie)

export const Pages = Layer.mergeAll(
  HttpRouter.add("GET", "/board", page("board.html")),
  HttpRouter.add("GET", "/health", HttpServerResponse.jsonUnsafe({ status: "ok" })),
  PrometheusMetrics.layerHttp()
)
