// A map that keeps the order in which keys came, for JSON objects. Many keys are found through a
// tree: with a list alone one request of some hundred thousand keys takes minutes to parse, and
// whoever writes the keys can choose them so that a hash table becomes such a list.
#ifndef PUNA_BASE_ORDERED_MAP_H_
#define PUNA_BASE_ORDERED_MAP_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace puna {

// As much of std::map as nlohmann::basic_json asks of its ObjectType; `Less` and `Allocator` are
// there because it gives them. Keys are texts. Like std::map, references and iterators stay valid
// until their entry is erased. Maps compare as JSON's objects do, whatever the order of their
// entries.
template <class Key, class T, class Less = std::less<>,
          class Allocator = std::allocator<std::pair<const Key, T>>>
class OrderedMap {
  using Entries = std::list<std::pair<const Key, T>, Allocator>;

 public:
  using key_type = Key;
  using mapped_type = T;
  using key_compare = std::less<>;
  using value_type = typename Entries::value_type;
  using size_type = typename Entries::size_type;
  using iterator = typename Entries::iterator;
  using const_iterator = typename Entries::const_iterator;

  OrderedMap() = default;
  template <class It>
  OrderedMap(It first, It last) {
    insert(first, last);
  }
  OrderedMap(std::initializer_list<value_type> entries)
      : OrderedMap(entries.begin(), entries.end()) {}
  OrderedMap(const OrderedMap& other) : entries_(other.entries_) { IndexAll(); }
  // Entries stay where they are when a list moves, and with them what the index points to.
  OrderedMap(OrderedMap&& other) noexcept { swap(other); }
  OrderedMap& operator=(OrderedMap other) noexcept {
    swap(other);
    return *this;
  }
  void swap(OrderedMap& other) noexcept {
    entries_.swap(other.entries_);
    index_.swap(other.index_);
  }

  iterator begin() { return entries_.begin(); }
  iterator end() { return entries_.end(); }
  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }
  const_iterator cbegin() const { return entries_.cbegin(); }
  const_iterator cend() const { return entries_.cend(); }
  bool empty() const { return entries_.empty(); }
  size_type size() const { return entries_.size(); }
  size_type max_size() const { return entries_.max_size(); }
  void clear() {
    index_.reset();
    entries_.clear();
  }

  template <class K>
  iterator find(const K& key) {
    return Find(*this, std::string_view(key));
  }
  template <class K>
  const_iterator find(const K& key) const {
    return Find(*this, std::string_view(key));
  }
  template <class K>
  size_type count(const K& key) const {
    return find(key) == end() ? 0 : 1;
  }
  template <class K>
  T& at(const K& key) {
    return At(*this, key);
  }
  template <class K>
  const T& at(const K& key) const {
    return At(*this, key);
  }

  // At the end, if the key is not there yet.
  template <class K, class... Args>
  std::pair<iterator, bool> emplace(K&& key, Args&&... args) {
    if (const iterator known = find(key); known != end()) return {known, false};
    entries_.emplace_back(std::piecewise_construct, std::forward_as_tuple(std::forward<K>(key)),
                          std::forward_as_tuple(std::forward<Args>(args)...));
    const iterator added = std::prev(entries_.end());
    if (index_ != nullptr) {
      index_->emplace(added->first, added);
    } else {
      IndexAll();
    }
    return {added, true};
  }
  std::pair<iterator, bool> insert(const value_type& entry) {
    return emplace(entry.first, entry.second);
  }
  std::pair<iterator, bool> insert(value_type&& entry) {
    return emplace(entry.first, std::move(entry.second));
  }
  template <class It>
  void insert(It first, It last) {
    for (; first != last; ++first) insert(*first);
  }
  template <class K>
  T& operator[](K&& key) {
    return emplace(std::forward<K>(key)).first->second;
  }

  iterator erase(iterator at) {
    if (index_ != nullptr) index_->erase(at->first);
    return entries_.erase(at);
  }
  iterator erase(iterator first, iterator last) {
    while (first != last) first = erase(first);
    return last;
  }
  template <class K>
  size_type erase(const K& key) {
    const iterator at = find(key);
    if (at == end()) return 0;
    erase(at);
    return 1;
  }

  friend bool operator==(const OrderedMap& a, const OrderedMap& b) {
    return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const value_type& entry) {
             const const_iterator other = b.find(entry.first);
             return other != b.end() && other->second == entry.second;
           });
  }
  friend auto operator<=>(const OrderedMap& a, const OrderedMap& b) {
    const std::vector<const value_type*> in_a = a.Sorted(), in_b = b.Sorted();
    return std::lexicographical_compare_three_way(
        in_a.begin(), in_a.end(), in_b.begin(), in_b.end(),
        [](const value_type* x, const value_type* y) { return *x <=> *y; });
  }

 private:
  // Fewer are found faster one after the other.
  static constexpr size_type kFewest = 16;
  using Index = std::map<std::string_view, iterator>;

  void IndexAll() {
    if (entries_.size() < kFewest) return;
    index_ = std::make_unique<Index>();
    for (iterator at = begin(); at != end(); ++at) index_->emplace(at->first, at);
  }
  // The entries by their keys.
  std::vector<const value_type*> Sorted() const {
    std::vector<const value_type*> sorted;
    for (const value_type& entry : entries_) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(),
              [](const value_type* x, const value_type* y) { return x->first < y->first; });
    return sorted;
  }
  template <class Self>
  static auto Find(Self& self, std::string_view key) -> decltype(self.begin()) {
    if (self.index_ != nullptr) {
      const auto known = self.index_->find(key);
      if (known == self.index_->end()) return self.end();
      return known->second;
    }
    auto at = self.begin();
    while (at != self.end() && at->first != key) ++at;
    return at;
  }
  template <class Self, class K>
  static auto& At(Self& self, const K& key) {
    const auto known = self.find(key);
    if (known == self.end()) throw std::out_of_range("key not found");
    return known->second;
  }

  Entries entries_;
  std::unique_ptr<Index> index_;  // from kFewest entries on
};

}  // namespace puna

#endif  // PUNA_BASE_ORDERED_MAP_H_
