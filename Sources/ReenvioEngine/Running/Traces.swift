package import ReenvioModel

/// The trace of whoever reports a change or asks for a resend. It is stored with what follows from the request, so that
/// the webhooks go on in it, whichever node sends them (`docs/contract.md` 3.2).
package enum Traces {
    /// That of the request that is being answered, with the request's own step.
    @TaskLocal package static var current: TraceParent?
}
