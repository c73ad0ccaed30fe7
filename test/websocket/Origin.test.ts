import { assert, describe, it } from "@effect/vitest"
import * as Origin from "../../src/websocket/Origin.ts"

describe("SEC1: the origins of an allow-list", () => {
  const allowed = Origin.compile({ origins: ["https://chat.example", "http://localhost:5173"] })

  it.each(["https://chat.example", "HTTPS://Chat.Example", "http://localhost:5173"])("%s is let in", (origin) => {
    assert.isTrue(allowed(origin, "chat.example"))
  })

  it.each([
    "http://chat.example",
    "https://chat.example:8443",
    "https://chat.example.evil.example",
    "https://evilchat.example",
    "https://sub.chat.example",
    "https://chat.example@evil.example",
    "https://evil.example/https://chat.example",
    "https://evil.example#https://chat.example",
    "https://chat.example/",
    "https://chat.example, https://evil.example",
    "https://chat.example https://evil.example",
    "https://user@chat.example",
    "https://chat.example.",
    "https://chat.exаmple",
    "http://localhost",
    "http://127.0.0.1:5173",
    "file://",
    "data:text/html,x",
    "null",
    "",
    "*",
    "//chat.example",
    "chat.example"
  ])("%s is refused", (origin) => {
    assert.isFalse(allowed(origin, "chat.example"))
  })

  it("the host of the server is no origin unless the list says same-origin", () => {
    assert.isFalse(allowed("https://other.example", "other.example"))
    const both = Origin.compile({ origins: ["same-origin", "https://chat.example"] })
    assert.isTrue(both("https://other.example", "other.example"))
    assert.isTrue(both("https://chat.example", "other.example"))
  })

  it("an empty list lets no page in", () => {
    const none = Origin.compile({ origins: [] })
    assert.isFalse(none("https://chat.example", "chat.example"))
    assert.isFalse(none(undefined, "chat.example"))
  })
})

describe("SEC1: same-origin, the default", () => {
  const allowed = Origin.compile({})

  it.each([
    ["http://chat.example", "chat.example"],
    ["https://chat.example", "chat.example"],
    ["http://chat.example:3000", "chat.example:3000"],
    ["https://chat.example", "Chat.Example"],
    ["https://chat.example", "chat.example:443"],
    ["http://[::1]:3000", "[::1]:3000"]
  ])("a page of %s may open a socket on %s", (origin, host) => {
    assert.isTrue(allowed(origin, host))
  })

  it.each([
    ["http://chat.example:3001", "chat.example:3000"],
    ["http://chat.example", "chat.example:3000"],
    ["https://evil.example", "chat.example"],
    ["https://sub.chat.example", "chat.example"],
    ["https://chat.example.evil.example", "chat.example"],
    ["http://chat.example", "chat.example:443"],
    ["null", "null"],
    ["https://chat.example", undefined],
    ["https://chat.example", ""],
    ["ftp://chat.example", "chat.example"]
  ])("a page of %s may not open a socket on %s", (origin, host) => {
    assert.isFalse(allowed(origin, host))
  })
})

describe("SEC1: clients without an origin", () => {
  it("are refused unless the server allows clients that are no browsers", () => {
    assert.isFalse(Origin.compile({})(undefined, "chat.example"))
    assert.isTrue(Origin.compile({ allowNonBrowsers: true })(undefined, "chat.example"))
  })

  it("allowing them lets no foreign page in", () => {
    const allowed = Origin.compile({ allowNonBrowsers: true })
    assert.isFalse(allowed("https://evil.example", "chat.example"))
    assert.isFalse(allowed("null", "chat.example"))
    assert.isFalse(allowed("", "chat.example"))
  })
})

describe("an entry that is no origin", () => {
  it.each(["*", "chat.example", "https://*.example", "https://chat.example/", "https://chat.example/app", "null", ""])(
    "%j is a TypeError that names it",
    (entry) => {
      assert.throws(() => Origin.compile({ origins: [entry] }), TypeError)
    }
  )
})
