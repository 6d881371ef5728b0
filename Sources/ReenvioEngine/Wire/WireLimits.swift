import ReenvioModel

/// Every bound of the wire, with the product's values as defaults, so that a test can wait milliseconds where the
/// product waits seconds (`docs/architecture.md` rule 12, `docs/contract.md` 3.3).
package struct WireLimits: Sendable {
    /// From the start of an exchange, dialing included, to its complete response head.
    package var headWithin: Duration = .seconds(Limits.responseHeadSeconds)
    /// What the body gets after the head.
    package var bodyWithin: Duration = .seconds(Limits.responseBodySeconds)
    package var bodyBytes = Limits.responseBodyBytes
    package var headBytes = Limits.responseHeadBytes
    package var headFields = 128
    /// Heads of the 1xx kind before the real one.
    package var interimHeads = 8
    package var answerBytesKept = Limits.answerBytesKept

    package var connectionAge: Duration = .seconds(Limits.connectionAgeSeconds)
    package var requestsPerConnection = Limits.requestsPerConnection
    package var connectionsPerReceiver = Limits.connectionsPerReceiver
    package var idleConnection: Duration = .seconds(Limits.idleConnectionSeconds)
    /// Idle connections over all receivers. The nearer to this number, the shorter an idle one is kept.
    package var idleConnections = 1_024
    /// How long a TLS connection that is being closed may wait for the other side's farewell.
    package var farewell: Duration = .milliseconds(250)
    /// How often requests that wait too long and connections that idle too long are looked for.
    package var sweepEvery: Duration = .milliseconds(250)

    package var lookupWithin: Duration = .seconds(Limits.lookupSeconds)
    package var lookupsAtOnce = Limits.lookupsAtOnce
    package var lookupAnswerKept: Duration = .seconds(Limits.lookupAnswerKeptSeconds)
    package var lookupFailureKept: Duration = .seconds(Limits.lookupFailureKeptSeconds)
    package var namesKept = Limits.namesKept
    /// Addresses of one name that are tried; all of them are judged.
    package var addressesTried = 4

    package init() {}
}
