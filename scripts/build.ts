/**
 * Emits dist/ from src/: one ES module, declaration and source map per file. Files of an earlier build do not survive.
 */
import { rmSync } from "node:fs"
import * as path from "node:path"
import { root, runOrExit } from "./run.ts"

rmSync(path.join(root, "dist"), { recursive: true, force: true })
runOrExit("tsc", "-p", "tsconfig.build.json")
console.log("build: dist is written")
