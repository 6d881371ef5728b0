extension Tables {
    static let sequences =
        [
            "CREATE TABLE id_sequences (name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            // The delivery ids in use at the start of each day, for the janitor.
            "CREATE TABLE delivery_marks (day INTEGER PRIMARY KEY, delivery_id INTEGER NOT NULL) STRICT",
        ]
        + IDSequence.allCases.filter { $0 != .notice }.map {
            "INSERT INTO id_sequences (name, next) VALUES ('\($0.rawValue)', 1)"
        }
}
