package import ReenvioModel

/// The two times (`docs/architecture.md`, rule 9). Wall time goes into history, bodies and signatures; engine time
/// decides what is due and leased, and never jumps.
package protocol TimeSource: Sendable {
    var wall: Timestamp { get }
    var engine: Timestamp { get }
}

/// Both times of one moment: what a step is told.
package struct Moment: Sendable, Equatable {
    package var wall: Timestamp
    package var engine: Timestamp

    package init(wall: Timestamp, engine: Timestamp) {
        self.wall = wall
        self.engine = engine
    }
}

extension TimeSource {
    package var now: Moment { Moment(wall: wall, engine: engine) }
}
