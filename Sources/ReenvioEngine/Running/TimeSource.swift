package import ReenvioModel

/// The two times (`docs/architecture.md`, rule 9). Wall time goes into history, bodies and signatures; engine time
/// decides what is due and leased, and never jumps.
package protocol TimeSource: Sendable {
    var wall: Timestamp { get }
    var engine: Timestamp { get }
}
