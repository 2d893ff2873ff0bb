//! An XML element, with errors that say where it is.

use super::times;
use crate::BadPlaylist;
use roxmltree::Node;

/// An element of a description; names are without namespace, as authors take liberties with those.
#[derive(Clone, Copy)]
pub struct Element<'a>(pub Node<'a, 'a>);

impl<'a> Element<'a> {
    /// Its name.
    pub fn name(self) -> &'a str {
        self.0.tag_name().name()
    }

    /// An attribute.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.0.attribute(name).map(str::trim)
    }

    /// `xlink:href`.
    pub fn link(self) -> Option<&'a str> {
        self.0.attribute(("http://www.w3.org/1999/xlink", "href"))
    }

    /// An attribute that is a whole number.
    pub fn number(self, name: &str) -> Result<Option<u64>, BadPlaylist> {
        let number = |text: &str| text.parse().map_err(|_| self.bad(&format!("{name} is no whole number")));
        self.get(name).map(number).transpose()
    }

    /// An attribute that is a duration, in seconds.
    pub fn seconds(self, name: &str) -> Result<Option<f64>, BadPlaylist> {
        let seconds = |text| times::duration(text).ok_or_else(|| self.bad(&format!("{name} is no duration")));
        self.get(name).map(seconds).transpose()
    }

    /// Its children of that name.
    pub fn children(self, name: &'static str) -> impl Iterator<Item = Element<'a>> {
        self.0.children().map(Element).filter(move |child| child.0.is_element() && child.name() == name)
    }

    /// Its first child of that name.
    pub fn child(self, name: &'static str) -> Option<Element<'a>> {
        self.children(name).next()
    }

    /// The text in it.
    pub fn text(self) -> &'a str {
        self.0.text().unwrap_or_default().trim()
    }

    /// An error that names it.
    pub fn bad(self, what: &str) -> BadPlaylist {
        let line = self.0.document().text_pos_at(self.0.range().start).row;
        BadPlaylist::Element { element: self.name().to_owned(), line, what: what.to_owned() }
    }
}
