import { assert, describe, it } from "@effect/vitest"
import { HttpServerRequest } from "effect/http"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { credentialsOf } from "../../src/websocket/Authenticator.ts"

const base64url = (text: string) => Buffer.from(text).toString("base64url")

const tokenOf = (headers: Record<string, string>, url = "/", allowQueryToken = false): string | undefined => {
  const request = HttpServerRequest.fromWeb(new Request(`http://chat.example${url}`, { headers }))
  const { token } = credentialsOf(request, allowQueryToken)
  return token === undefined ? undefined : Redacted.value(token)
}

describe("the token of a handshake", () => {
  it("is what follows Bearer in the Authorization header, in whatever case", () => {
    assert.strictEqual(tokenOf({ authorization: "Bearer abc.def" }), "abc.def")
    assert.strictEqual(tokenOf({ authorization: "bEARER   abc" }), "abc")
  })

  it.each(["Basic YTpi", "Bearer", "Bearer ", "", "BearerToken abc", "bearerX", "abc"])(
    "is not there in the Authorization header %j",
    (authorization) => {
      assert.isUndefined(tokenOf({ authorization }))
    }
  )

  it("is the decoded subprotocol bearer.<base64url>, wherever it stands in the list", () => {
    assert.strictEqual(tokenOf({ "sec-websocket-protocol": `bearer.${base64url("tök=n/+")}` }), "tök=n/+")
    assert.strictEqual(tokenOf({ "sec-websocket-protocol": `chat.v1 ,  bearer.${base64url("abc")}` }), "abc")
    assert.isUndefined(tokenOf({ "sec-websocket-protocol": "bearer., chat" }))
    assert.isUndefined(tokenOf({ "sec-websocket-protocol": "chat, x-bearer.YQ" }))
  })

  it("SEC3: is not taken from the query unless the route allows it", () => {
    assert.isUndefined(tokenOf({}, "/?token=abc&access_token=def"))
    assert.strictEqual(tokenOf({}, "/?token=abc", true), "abc")
    assert.strictEqual(tokenOf({}, "/?a=1&access_token=d%2Bf", true), "d+f")
    assert.isUndefined(tokenOf({}, "/token=abc", true))
  })

  it("in the header wins over the subprotocol, which wins over the query", () => {
    const headers = { authorization: "Bearer header", "sec-websocket-protocol": `bearer.${base64url("protocol")}` }
    assert.strictEqual(tokenOf(headers, "/?token=query", true), "header")
    assert.strictEqual(tokenOf({ ...headers, authorization: "Basic x" }, "/?token=query", true), "protocol")
  })

  it("SEC4: shows itself in no print of the credentials", () => {
    const request = HttpServerRequest.fromWeb(new Request("http://chat.example/"))
    const withToken = new Request("http://chat.example/", { headers: { authorization: "Bearer canary" } })
    const { token } = credentialsOf(HttpServerRequest.fromWeb(withToken), false)
    assert.isUndefined(credentialsOf(request, false).token)
    assert.notInclude(`${Redacted.value(token!).length} ${JSON.stringify(token)}` + inspect(token), "canary")
  })
})
