export { Hawser, type CallOptions, type HawserEvents, type Session, type StateChange } from "./client.js";
export { causes, type Advice, type Cause } from "./causes.js";
export type { Environment, Stop } from "./environment.js";
export { HawserError, type ErrorKind } from "./errors.js";
export type { State } from "./machine.js";
export { VERSION, type Options, type TokenReason, type TokenSource, type WebSocketConstructor, type WebSocketLike } from "./options.js";
export type { Handler, Publication, Subscription, SubscriptionChange, SubscriptionEvents, SubscriptionState } from "./subscription.js";
