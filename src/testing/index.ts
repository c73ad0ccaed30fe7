/**
 * effect-rooms/testing: to test rooms, clusters and event buses of one's own, with any test runner.
 */
export * as EventBusConformance from "./EventBusConformance.ts"
export * as RoomModel from "./RoomModel.ts"
export * as TestCluster from "./TestCluster.ts"
