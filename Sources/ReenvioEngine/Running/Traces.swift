package import ReenvioModel
import Synchronization

/// Carries the trace of whoever reported a change, or asked for a resend, on to the webhooks that follow from it. In
/// memory and bounded: what is sent after a restart, or long after, begins a trace of its own.
package final class Traces: Sendable {
    /// The trace of the request that is being answered.
    @TaskLocal package static var current: TraceParent?

    package enum Subject: Hashable, Sendable {
        case payout(Int64)
        case resend(Int64)
    }

    private static let generationMax = 10_000

    private struct State {
        var young: [Subject: TraceParent] = [:]
        var old: [Subject: TraceParent] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Notes the current trace, if there is one.
    package func note(_ subjects: @autoclosure () -> [Subject]) {
        guard let trace = Self.current else { return }
        let subjects = subjects()
        state.withLock { state in
            if state.young.count + subjects.count > Self.generationMax {
                state.old = state.young
                state.young = [:]
            }
            for subject in subjects.prefix(Self.generationMax) { state.young[subject] = trace }
        }
    }

    /// What an attempt sends: its own span, in the trace that led to it or in a new one named after the attempt.
    func trace(of claimed: Subject?, _ resend: Subject?, attemptID: [UInt8]) -> TraceParent {
        let spanID = Hex.text(attemptID.suffix(8))
        let known = state.withLock { state -> TraceParent? in
            if state.young.isEmpty, state.old.isEmpty { return nil }
            guard let subject = resend ?? claimed else { return nil }
            return state.young[subject] ?? state.old[subject]
        }
        return known?.from(spanID: spanID)
            ?? TraceParent(traceID: Hex.text(attemptID), spanID: spanID, isSampled: false)
    }
}
