import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import { configOf, type PostgresOptions } from "../../src/cluster/internal/postgres/options.ts"

const login = (options: PostgresOptions): Record<string, unknown> => {
  const { address, database, password, startupOptions, username } = configOf(options).login
  return { ...address, database, username, startupOptions, password: password && Redacted.value(password) }
}

describe("options of PostgresBus", () => {
  it("say everything by themselves", () => {
    assert.deepInclude(login({}), { host: "localhost", port: 5432, path: undefined, encryption: "none" })
    assert.deepInclude(login({ host: "db", port: 1, database: "app", username: "me", password: Redacted.make("p") }), {
      host: "db",
      port: 1,
      database: "app",
      username: "me",
      password: "p"
    })
  })

  it("can be a URL, of which they leave what they do not say", () => {
    const url = Redacted.make("postgres://m%40e:p%2Fw@[::1]:6432/my%20app?sslmode=require&options=-c%20search_path%3Dx")
    const expected = {
      host: "::1",
      port: 6432,
      database: "my app",
      username: "m@e",
      password: "p/w",
      startupOptions: "-c search_path=x",
      encryption: "required"
    }
    assert.deepInclude(login({ url }), expected)
    assert.deepInclude(login({ url, host: "db", username: "you" }), { ...expected, host: "db", username: "you" })
    assert.deepInclude(login({ url: "postgres:///app" }), { host: "localhost", port: 5432, database: "app" })
    assert.deepInclude(login({ url: "postgresql://db?sslmode=prefer" }), { host: "db", encryption: "optional" })
    assert.deepInclude(login({ url: "postgresql://db", tls: {} }), { encryption: "required" })
  })

  it("take the folder of a Unix socket for a host", () => {
    const path = "/run/postgresql/.s.PGSQL.5432"
    assert.deepInclude(login({ host: "/run/postgresql" }), { path })
    assert.deepInclude(login({ url: "postgres:///app?host=/run/postgresql" }), { path })
    assert.deepInclude(login({ url: "postgres://%2Frun%2Fpostgresql/app" }), { path })
  })
})
