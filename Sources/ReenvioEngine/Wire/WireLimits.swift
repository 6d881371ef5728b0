import ReenvioModel

/// Every bound of the wire, with the product's values as defaults, so that a test can wait milliseconds where the
/// product waits seconds (`docs/architecture.md` rule 12, `docs/contract.md` 3.3).
package struct WireLimits: Sendable {
    /// From the start of an exchange, dialing included, to its complete response head.
    package var headWithin: Duration = .seconds(Limits.responseHeadSeconds)
    /// What the body gets after the head.
    package var bodyWithin: Duration = .seconds(Limits.responseBodySeconds)
    package var bodyBytes = Limits.responseBodyBytes
    /// Over all heads of an answer: what goes before the real one included.
    package var headBytes = Limits.responseHeadBytes
    package var answerBytesKept = Limits.answerBytesKept

    package var connectionAge: Duration = .seconds(Limits.connectionAgeSeconds)
    package var requestsPerConnection = Limits.requestsPerConnection
    package var connectionsPerReceiver = Limits.connectionsPerReceiver
    package var idleConnection: Duration = .seconds(Limits.idleConnectionSeconds)
    /// Idle connections over all receivers. The nearer to this number, the shorter an idle one is kept.
    package var idleConnections = 1_024
    /// Connections and dials over all receivers: beyond them this machine is taken to be short of descriptors.
    package var connections = Int.max
    /// Connections of a receiver whose machine failed are closed and its name is asked for anew: so often at most,
    /// unless nothing but failures came since the last time.
    package var renewEvery: Duration = .seconds(Limits.renewSeconds)
    /// How long a TLS connection that is being closed may wait for the other side's farewell.
    package var farewell: Duration = .milliseconds(250)
    /// How often requests that wait too long and connections that idle too long are looked for.
    package var sweepEvery: Duration = .milliseconds(250)

    package var lookupWithin: Duration = .seconds(Limits.lookupSeconds)
    package var lookupsAtOnce = Limits.lookupsAtOnce
    package var lookupAnswerKept: Duration = .seconds(Limits.lookupAnswerKeptSeconds)
    package var lookupFailureKept: Duration = .seconds(Limits.lookupFailureKeptSeconds)
    package var namesKept = Limits.namesKept
    /// The least time from one lookup of a name to the next after its answer led nowhere.
    package var lookupEvery: Duration = .seconds(Limits.renewSeconds)
    /// Addresses of one name that are tried; all of them are judged.
    package var addressesTried = Limits.addressesTried
    /// How long the next address waits for the one before (RFC 8305, 5).
    package var addressEvery: Duration = .milliseconds(Limits.addressEveryMilliseconds)

    package init() {}

    /// Limits for a process that may open `openFiles` files: a quarter of them, and no fewer than
    /// `Limits.descriptorsReserved`, are left to the store and to inbound connections.
    package init(openFiles: UInt64) {
        let files = Int(clamping: openFiles)
        connections = max(1, files - max(Limits.descriptorsReserved, files / 4))
        idleConnections = min(idleConnections, max(1, connections / 4))
    }
}
