/**
 * Who is connecting: decided before the upgrade, so that a refusal is an HTTP answer.
 */
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { tokenProtocol } from "./internal/acceptor.ts"

/** Refuses an upgrade: 401 for `"unauthenticated"`, 403 for `"forbidden"`. */
export class Denied extends Schema.TaggedError<Denied>()("Denied", {
  reason: Schema.Literals(["unauthenticated", "forbidden"])
}) {
  override get message(): string {
    return this.reason
  }
}

/** Fails with 401: it is not known who is asking. */
export const unauthenticated: Effect.Effect<never, Denied> = Effect.fail(new Denied({ reason: "unauthenticated" }))

/** Fails with 403: it is known who is asking, and they may not. */
export const forbidden: Effect.Effect<never, Denied> = Effect.fail(new Denied({ reason: "forbidden" }))

/** What a handshake says about who is asking. */
export interface Credentials {
  /**
   * The bearer token: from the `Authorization` header; else from a subprotocol `bearer.<token in base64url>`, the way
   * for browsers; else, only where the route has `allowQueryToken`, from the query parameter `token` or `access_token`.
   */
  readonly token: Redacted.Redacted | undefined
  /** The request, for cookies and headers. Its `Origin` has been checked. */
  readonly request: HttpServerRequest
}

/**
 * Names the principal, or fails with `Denied`. Any other failure or defect is logged and answered with 500.
 */
export type Authenticator<Principal, R = never> = (credentials: Credentials) => Effect.Effect<Principal, Denied, R>

const fromHeader = (header: string | undefined): string | undefined => {
  const space = header?.indexOf(" ") ?? -1
  if (header === undefined || space < 0 || header.slice(0, space).toLowerCase() !== "bearer") return undefined
  return header.slice(space + 1).trim()
}

const fromProtocols = (header: string | undefined): string | undefined => {
  const protocol = header
    ?.split(",")
    .map((part) => part.trim())
    .find((part) => part.startsWith(tokenProtocol))
  if (protocol === undefined) return undefined
  return Buffer.from(protocol.slice(tokenProtocol.length), "base64url").toString("utf8")
}

const fromQuery = (url: string): string | undefined => {
  const query = url.indexOf("?")
  if (query < 0) return undefined
  const parameters = new URLSearchParams(url.slice(query))
  return parameters.get("token") ?? parameters.get("access_token") ?? undefined
}

/** Collects the credentials of a handshake. */
export const credentialsOf = (request: HttpServerRequest, allowQueryToken: boolean): Credentials => {
  const token =
    fromHeader(request.headers["authorization"]) ??
    fromProtocols(request.headers["sec-websocket-protocol"]) ??
    (allowQueryToken ? fromQuery(request.url) : undefined)
  return { token: token === undefined || token === "" ? undefined : Redacted.make(token, { label: "token" }), request }
}
