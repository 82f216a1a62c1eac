//! Door: the media room.
