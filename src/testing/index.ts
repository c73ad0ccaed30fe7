/**
 * effect-rooms/testing: to test rooms of one's own, with any test runner.
 */
export * as RoomModel from "./RoomModel.ts"
